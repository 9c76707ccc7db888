"""Which partition of an image is which: where it starts from, its system, its data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.image.readback import PartitionFacts

LINUX = frozenset({"ext2", "ext3", "ext4", "squashfs"})
DATA_NUMBER = 3


@dataclass(frozen=True, slots=True)
class Roles:
    """The partitions that have a part to play, None for one that is not there."""

    boot: PartitionFacts | None
    root: PartitionFacts | None
    data: PartitionFacts | None


def roles_of(partitions: Sequence[PartitionFacts], data_label: str = "") -> Roles:
    """Tell them apart by what they hold and where they lie.

    Boot is the first FAT; root the first file system of Linux behind it, or the first of all; data an ext4 that
    lies last and is neither, when it has number 3 or the label that a data partition is to have.
    """
    in_order = sorted(partitions, key=lambda one: one.start_bytes)
    boot = next((one for one in in_order if one.filesystem.kind.startswith("fat")), None)
    linux = [one for one in in_order if one.filesystem.kind in LINUX]
    behind = [one for one in linux if boot is not None and one.start_bytes > boot.start_bytes]
    root = next(iter(behind or linux), None)
    last = in_order[-1] if in_order else None
    if last is None or last is root or last.filesystem.kind != "ext4":
        return Roles(boot, root, None)
    is_data = last.entry.number == DATA_NUMBER or (data_label and last.filesystem.label == data_label)
    return Roles(boot, root, last if is_data else None)
