"""Disks made for tests on a real engine, and read back by the kernel, which had no part in making them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build import tree
from engines import has_to_be_there
from stalker.app.toolbox_image import image_maker
from stalker.artifacts.context import Workshop
from stalker.artifacts.disk.build import DiskMade, make_disk
from stalker.engine.run_id import new_run_id
from stalker.model.artifacts import Artifact, Disk, Partition
from stalker.model.diagnostics import Place
from stalker.toolbox.container import Toolbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.engine.interface import Engine
    from stalker.model.images import Image

MIB = 1 << 20
HERE = Place("trees/t/t.hjson", 1, 1)
EPOCH_S = 1_700_000_000


def partition(name: str, filesystem: str, size_mib: int | None = None, **more: Any) -> Partition:
    """Return a partition; `size_mib` None is auto."""
    size = None if size_mib is None else size_mib * MIB
    return Partition(name, HERE, filesystem, size, **more)  # type: ignore[arg-type]


ROOT = partition("root", "ext4", source="/", label="rootfs")
BOOT = partition("boot", "vfat", 34, source="/boot", label="BOOT", is_bootable=True)


@dataclass
class DiskShop:
    """Makes disks of images in a folder of its own."""

    folder: Path
    engine: Engine
    told: list[object] = field(default_factory=list)
    cache: Path | None = None

    def workshop(self, engine: Engine | None = None) -> Workshop:
        maker = image_maker(self.engine, self.told.append)  # type: ignore[arg-type]
        run = new_run_id(time.time())
        return Workshop(
            engine or self.engine,
            tree(),
            str(self.folder),
            {},
            self.told.append,
            run,
            Toolbox(self.engine, maker, run, cache_dir=self.cache),
        )

    def artifact(self, *partitions: Partition, **more: Any) -> Artifact:
        own = {name: more.pop(name) for name in ("exclude", "writes", "epoch_s") if name in more}
        disk = Disk("disk.img", more.pop("table", "mbr"), partitions, **more)
        return Artifact("image", "s", HERE, disk, **{"epoch_s": EPOCH_S, **own})

    def make(
        self, image: Image, artifact: Artifact, tar_of: Any = None, engine: Engine | None = None
    ) -> DiskMade:
        """Make a disk in a new folder."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return make_disk(artifact, image, folder, self.workshop(engine), (), tar_of)


@contextlib.contextmanager
def imported(engine: DockerEngine, data: bytes) -> Iterator[Image]:
    """Give an image of these files; it is removed at the end."""
    name = f"stalker-test/disk-{uuid.uuid4().hex[:8]}:1"
    image = engine.import_rootfs([data], name, {}, "")
    try:
        yield image
    finally:
        engine.untag(name)


@contextlib.contextmanager
def mounted(image: Path, start: int, *, writes: bool = False) -> Iterator[Path]:
    """Let the kernel show a file system of an image, read-only unless it `writes`."""
    if os.geteuid() != 0:
        has_to_be_there("only root can mount a file system to look at it")
    with tempfile.TemporaryDirectory() as at:
        options = f"{'rw' if writes else 'ro'},loop,offset={start}"
        done = subprocess.run(
            ["mount", "-o", options, str(image), at], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        try:
            yield Path(at)
        finally:
            subprocess.run(["umount", at], check=True)


def partition_digest(path: Path, start: int, length: int) -> str:
    """Return the SHA-256 of a part of an image: equal before and after for what nobody may have touched."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        end = start + length
        while start < end:
            data = os.pread(stream.fileno(), min(MIB, end - start), start)
            assert data, f"{path} ends at {start}"
            digest.update(data)
            start += len(data)
    return digest.hexdigest()


def read_files(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return what is below a folder, as `tars.read_tar` tells of an archive; hard links are equal inodes."""
    found: dict[str, tuple[Any, ...]] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            is_device = stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode)
            found[os.fsdecode(os.path.relpath(path, os.fsencode(root)))] = (
                stat.S_IFMT(about.st_mode),
                stat.S_IMODE(about.st_mode),
                about.st_uid,
                about.st_gid,
                int(about.st_mtime),
                os.fsdecode(os.readlink(path)) if stat.S_ISLNK(about.st_mode) else "",
                (os.major(about.st_rdev), os.minor(about.st_rdev)) if is_device else None,
                _xattrs(path),
                Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(about.st_mode) else b"",
            )
    return found


def inode_of(root: Path, name: str) -> int:
    return os.lstat(root / name).st_ino


def _xattrs(path: bytes) -> dict[str, bytes]:
    found = {}
    with contextlib.suppress(OSError):  # this kernel shows none of a squashfs
        for key in os.listxattr(path, follow_symlinks=False):
            found[key] = os.getxattr(path, key, follow_symlinks=False)
    return found
