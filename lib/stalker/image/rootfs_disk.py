"""A root file system as a disk that can be booted: an ext4 without a partition table, for a boot test."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stalker.image.unpacked import write_sparse
from stalker.model.artifacts import Disk, Partition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stalker.image.workshop import Workshop
    from stalker.model.artifacts import Artifact
    from stalker.model.images import Image

FOLDER = ".boot"
ROOM_BYTES = 256 << 20
"""What a system that starts for the first time writes: keys, logs, its own growth."""

CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def rootfs_disk(
    artifact: Artifact, image: Image, folder: Path, workshop: Workshop
) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Give a raw disk that is one file system with what a `rootfs` holds, and its partitions as facts.

    It is made in a folder below `folder`, which goes at the end. For the machine it is /dev/vda.
    """
    from stalker.image.disk import make_disk  # late: what it needs is only loaded for a disk

    root = Partition("root", artifact.place, "ext4", source="/", margin_bytes=ROOM_BYTES)
    kind = Disk("disk.img", "mbr", (root,))
    inside = folder / FOLDER
    inside.mkdir()
    try:
        made = make_disk(replace(artifact, kind=kind, gates=None), image, inside, workshop)
        facts = made.facts["partitions"][0]
        path = inside / "root.img"
        with (inside / kind.file).open("rb") as source, path.open("xb") as target:
            source.seek(facts["start_bytes"])
            left = facts["size_bytes"]
            while left:
                workshop.check()
                data = source.read(min(left, CHUNK_BYTES))
                write_sparse(target, data)
                left -= len(data)
            target.truncate(facts["size_bytes"])
        (inside / kind.file).unlink()
        yield path, [{**facts, "start_bytes": 0}]
    finally:
        shutil.rmtree(inside, ignore_errors=True)
