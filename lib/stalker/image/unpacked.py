"""Published files read again: a packed tar for a partition, a packed disk for a boot test."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import zipfile
from typing import IO, TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.image.folder_tar import tar_of_folder
from stalker.model.artifacts import Files, Repo, Rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.image.workshop import Workshop
    from stalker.model.artifacts import Artifact, Disk, Partition

CHUNK_BYTES = 1 << 18
BLOCK_BYTES = 4096

PROGRAMS = {".zst": ("zstd", "-q", "-d", "-c"), ".xz": ("xz", "-d", "-c"), ".gz": ("gzip", "-d", "-c")}


def tar_for(
    partition: Partition, artifact: Artifact, folder: Path, workshop: Workshop, latest_s: int
) -> Iterator[bytes]:
    """Yield the tar for a partition that holds another artifact of the stalk, or a folder of the workspace.

    `folder` is where the artifacts of the stalk stand.
    """
    if partition.directory:
        source = f"{workshop.workspace}/{partition.directory}"
        yield from tar_of_folder(source, latest_s=latest_s, check=workshop.check)
        return
    others = workshop.tree.stalk(artifact.stalk).artifacts
    other = next(one for one in others if one.name == partition.artifact)
    published = folder / other.name
    match other.kind:
        case Rootfs() | Files():
            yield from plain(published / other.kind.file)
        case Repo():
            repository = str(published / other.kind.folder)
            yield from tar_of_folder(repository, latest_s=latest_s, check=workshop.check)


def plain(path: Path) -> Iterator[bytes]:
    """Yield what is in a file, unpacked as its ending says. Raises StalkerError."""
    with _opened(path) as stream:
        while data := stream.read(CHUNK_BYTES):
            yield data


@contextlib.contextmanager
def raw_disk(folder: Path, disk: Disk, check: Callable[[], None]) -> Iterator[Path]:
    """Give a raw disk image: the published one, or a sparse file that is unpacked of it and goes again.

    `check` is called now and then and may raise.
    """
    if (folder / disk.file).exists():
        yield folder / disk.file
        return
    stem = disk.file.removesuffix(".img")
    packed = next(folder / f"{stem}.{form}" for form in disk.formats if form not in {"img", "bmap"})
    path = folder / f".{disk.file}.{secrets.token_hex(6)}"
    try:
        with path.open("xb") as target:
            for data in plain(packed):
                check()
                write_sparse(target, data)
            target.truncate()
        yield path
    finally:
        path.unlink(missing_ok=True)


def write_sparse(target: IO[bytes], data: bytes) -> None:
    """Write to a new file and leave holes for zeros; its size has to be set at the end."""
    for at in range(0, len(data), BLOCK_BYTES):
        block = data[at : at + BLOCK_BYTES]
        if block.count(0) == len(block):
            target.seek(len(block), 1)
        else:
            target.write(block)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
            yield member
        return
    argv = PROGRAMS.get(".gz" if path.suffix == ".tgz" else path.suffix)
    if argv is None:
        with path.open("rb", buffering=0) as stream:
            yield stream
        return
    if shutil.which(argv[0]) is None:
        raise StalkerError(
            f"{argv[0]} is not installed", f"{path} is packed with it", f"apt-get install {argv[0]}"
        )
    with tempfile.TemporaryFile() as said, path.open("rb") as source:
        process = subprocess.Popen(
            argv, stdin=source, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait() != 0:
                said.seek(0)
                text = said.read().decode("utf-8", "replace").strip()
                raise StalkerError(f"{path} could not be unpacked", text, "remove it, and run again")
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
