"""Published files read again: a packed tar for a partition, a packed disk for a boot test."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from stalker.image.edit.copying import nothing, unpack_base
from stalker.image.folder_tar import tar_of_folder
from stalker.image.packed import unpacked
from stalker.model.artifacts import Files, Repo, Rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.image.workshop import Workshop
    from stalker.model.artifacts import Artifact, Disk, Partition

CHUNK_BYTES = 1 << 18


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
    """Yield what is in a file, unpacked. Raises StalkerError."""
    yield from unpacked(path, piece_bytes=CHUNK_BYTES)


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
            unpack_base(packed, target, nothing, check)
        yield path
    finally:
        path.unlink(missing_ok=True)
