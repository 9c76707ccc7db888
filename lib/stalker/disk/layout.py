"""Where the partitions of a disk begin and end. Pure: sizes in, places out.

A partition of size auto is as large as its content needs, and its margin. What a content needs is reckoned
from a `Measure` of it, the same on every engine, so that equal content gives equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.formats.fs.ext4 import has_copy
from stalker.formats.partition_table.extent import SECTOR_BYTES, table_head_bytes, table_tail_bytes
from stalker.io.disk_sizes import MIB, aligned
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.artifacts import Disk, Partition

BLOCK = 4096
"""The block of ext4, here always; and that of most disks."""

INODE_BYTES = 256
INODE_ROOM_BYTES = 96
"""Extended attributes up to here are in the inode itself, of 256 bytes less 160."""

FILE_BYTES = 36 << 10
"""What a file of a Debian system has on average."""

GROUP_BLOCKS = 32768
RESERVED_INODES = 11
LOST_FOUND_BLOCKS = 4
FAT32_LEAST_CLUSTERS = 66000
"""With fewer than 65525 it is a FAT16, whatever its header says (Microsoft, FAT specification 1.03)."""

FAT16_LEAST_CLUSTERS = 4200

JOURNALS = (
    (2048, 0),
    (32768, 1024),
    (262144, 4096),
    (524288, 8192),
    (4194304, 16384),
    (8388608, 32768),
    (16777216, 65536),
    (33554432, 131072),
)
"""Below so many blocks an ext4 gets a journal of so many (e2fsprogs, ext2fs_default_journal_size)."""


@dataclass(slots=True)
class Measure:
    """What a content takes: counted from the members of its tar."""

    inodes: int = 0
    """Files, directories, links and devices; a hard link is none."""

    data_blocks: int = 0
    folder_blocks: int = 0
    fat_bytes: int = 0
    """As much as it takes in a FAT with clusters of 4 KiB, directories included."""

    def state(self) -> list[int]:
        """Return it as a list of numbers, to be kept; `Measure(*numbers)` is it again."""
        return [self.inodes, self.data_blocks, self.folder_blocks, self.fat_bytes]


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition in its place; `number` counts from 1."""

    partition: Partition
    number: int
    start_bytes: int
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.start_bytes + self.size_bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """All partitions of a disk, and its size."""

    placed: tuple[Placed, ...]
    size_bytes: int
    by_name: dict[str, Placed] = field(default_factory=dict)


def lay_out(disk: Disk, needs: Mapping[str, int]) -> Layout:
    """Place the partitions; `needs` are the bytes of those of size auto, by name.

    Raises:
        StalkerError: they do not fit the disk's fixed size.
    """
    placed: list[Placed] = []
    end = table_head_bytes(disk.table)
    for number, partition in enumerate(disk.partitions, 1):
        size = needs[partition.name] if partition.size_bytes is None else partition.size_bytes
        start = aligned(end, disk.align_bytes)
        placed.append(Placed(partition, number, start, aligned(size, SECTOR_BYTES)))
        end = placed[-1].end_bytes
    tail = table_tail_bytes(disk.table)
    size_bytes = disk.size_bytes
    if size_bytes is None:
        size_bytes = aligned(end + tail, disk.align_bytes)
    elif end + tail > size_bytes:
        parts = ", ".join(f"{one.partition.name} {size_text(one.size_bytes)}" for one in placed)
        raise StalkerError(
            f"{disk.file}: {disk.size_words} is {size_text(size_bytes)}, and the partitions need {size_text(end + tail)}",
            f"{parts}, aligned to {size_text(disk.align_bytes)}",
            "give the disk more, take something out of the image, or give a partition a smaller margin",
        )
    else:
        size_bytes = size_bytes // SECTOR_BYTES * SECTOR_BYTES
    return Layout(tuple(placed), size_bytes, {one.partition.name: one for one in placed})


def needed_bytes(partition: Partition, measure: Measure, align_bytes: int) -> int:
    """Return how large a partition of size auto becomes, a multiple of the alignment.

    It is rounded up by a sixteenth at most: then it mostly stays as it was when a little has changed, and a
    guess may be right.
    """
    if partition.filesystem == "vfat":
        need = measure.fat_bytes
        size = aligned(need + _margin(partition, need), align_bytes)
        # Two FATs of 4 bytes a cluster, at most one for each 512 bytes, and what is before them.
        size += size // 64 + 64 * SECTOR_BYTES
    else:
        inodes = measure.inodes + RESERVED_INODES
        blocks = measure.data_blocks + measure.folder_blocks + LOST_FOUND_BLOCKS
        need = ext4_bytes(blocks, inodes)
        size = ext4_bytes(blocks + -(-_margin(partition, need) // BLOCK), inodes)
    return rounded(size, align_bytes)


def _margin(partition: Partition, need: int) -> int:
    return max(need * partition.margin_percent // 100, partition.margin_bytes)


def guessed_bytes(partition: Partition, content_bytes: int, align_bytes: int) -> int:
    """Return what `needed_bytes` may come to for an ext4, from no more than the bytes of all files."""
    files = content_bytes // FILE_BYTES
    measure = Measure(files, content_bytes // BLOCK + files // 2, files // 10)
    return needed_bytes(partition, measure, align_bytes)


def rounded(size: int, align_bytes: int) -> int:
    """Return a size rounded up to one of sixteen steps between powers of two."""
    step = max(align_bytes, 1 << max(size.bit_length() - 5, 0))
    return aligned(aligned(size, step), align_bytes)


def ext4_bytes(blocks: int, inodes: int) -> int:
    """Return the size of an ext4 that has so many blocks for data and directories, and at least so many inodes."""
    total = blocks
    while True:
        own = ext4_own_blocks(total, inodes)
        if blocks + own <= total:
            return total * BLOCK
        total = blocks + own


def ext4_inodes(size_bytes: int, inodes: int = 0) -> int:
    """Return how many inodes an ext4 of this size gets: one for 16 KiB, and a quarter more than it needs."""
    return max(size_bytes // 16384, (inodes + RESERVED_INODES) * 5 // 4, 64)


def journal_blocks(blocks: int) -> int:
    """Return the size of the journal of an ext4 of so many blocks."""
    return next((journal for limit, journal in JOURNALS if blocks < limit), 262144)


def ext4_own_blocks(blocks: int, inodes: int) -> int:
    """Return what an ext4 of so many blocks keeps for itself, at most."""
    groups = max(-(-blocks // GROUP_BLOCKS), 1)
    table = -(-ext4_inodes(blocks * BLOCK, inodes) * INODE_BYTES // BLOCK) + groups
    descriptors = -(-groups * 64 // BLOCK)
    # It may grow a thousandfold: what that needs is kept next to each copy of the descriptors.
    growth = min(-(-min(blocks * 1024, 1 << 32) // GROUP_BLOCKS * 64 // BLOCK), BLOCK // 4)
    copies = sum(has_copy(group) for group in range(groups))
    return table + 2 * groups + copies * (1 + descriptors + growth) + journal_blocks(blocks) + 16


def fat_shape(size_bytes: int) -> tuple[int, int]:
    """Return the kind of FAT (32, 16, 12) and the sectors of a cluster that suit a partition.

    The largest clusters, up to 4 KiB, with which there are enough of them: small ones are slow.
    """
    sectors = size_bytes // SECTOR_BYTES
    for kind, least in ((32, FAT32_LEAST_CLUSTERS), (16, FAT16_LEAST_CLUSTERS)):
        for cluster in (64, 32, 16) if sectors >> 24 else (8, 4, 2, 1):
            if sectors // cluster >= least:
                return kind, cluster
    return 12, 4 if sectors < 4 * MIB // SECTOR_BYTES else 8
