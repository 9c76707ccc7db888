"""A root file system as a disk that can be booted: an ext4 without a partition table, for a boot test."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stalker.image.edit.copying import place
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
            target.truncate(facts["size_bytes"])
            start, size = facts["start_bytes"], facts["size_bytes"]
            place(source.fileno(), target.fileno(), 0, size, source_start=start, check=workshop.check)
        (inside / kind.file).unlink()
        yield path, [{**facts, "start_bytes": 0}]
    finally:
        shutil.rmtree(inside, ignore_errors=True)
