"""How an ext4 is laid out, and what of it would be free if it were larger. Pure: a superblock in, numbers out.

Sources: Linux, Documentation/filesystems/ext4/super.rst and blockgroup.rst; what resize2fs adds to a file system
is read off file systems that it grew.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stalker.image.layout import has_copy

if TYPE_CHECKING:
    from stalker.image.table import Read

MAGIC = 0xEF53
SPARSE_SUPER = 0x1
NEEDS_RECOVERY, IS_64BIT = 0x4, 0x80
VALID, WITH_ERRORS = 1, 2
SMALLEST_GROUP_BLOCKS = 50
"""resize2fs leaves a last group out that has no more than its own tables and this."""


class Free(NamedTuple):
    """Room for data, in blocks of 4096 bytes whatever the file system has, and for files."""

    blocks: int
    inodes: int


@dataclass(frozen=True, slots=True)
class ExtShape:
    """An ext2, ext3 or ext4.

    `latest_s` is the last time that it tells of; one that is not clean was in use, or in trouble, when it was
    left.
    """

    block_bytes: int
    blocks: int
    free_blocks: int
    reserved_blocks: int
    first_block: int
    group_blocks: int
    inodes: int
    free_inodes: int
    group_inodes: int
    inode_bytes: int
    descriptor_bytes: int
    growth_blocks: int
    has_few_copies: bool
    latest_s: int
    is_clean: bool

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self.blocks * self.block_bytes

    def free_at(self, size_bytes: int) -> Free:
        """Return what is surely free once it has grown to a size, without what is kept for root and the kernel."""
        blocks = max(size_bytes // self.block_bytes, self.blocks)
        old, new = self._groups(self.blocks), self._groups(blocks)
        descriptors = self._descriptor_blocks(new)
        kept = self._descriptor_blocks(old) + self.growth_blocks
        table = -(-self.group_inodes * self.inode_bytes // self.block_bytes)
        copies = sum(not self.has_few_copies or has_copy(group) for group in range(old, new))
        taken = (new - old) * (table + 2) + copies * (1 + max(kept, descriptors))
        if descriptors > kept:
            taken += sum(not self.has_few_copies or has_copy(group) for group in range(old)) * (
                descriptors - kept
            )
        if new > old:  # the last group may be left out, and what comes before it be cut
            taken += table + 2 + 1 + max(kept, descriptors) + SMALLEST_GROUP_BLOCKS
        reserved = -(-self.reserved_blocks * blocks // max(self.blocks, 1)) + kernel_blocks(blocks)
        free = self.free_blocks + blocks - self.blocks - taken - reserved
        return Free(
            free * self.block_bytes // 4096, self.free_inodes + max(new - old - 1, 0) * self.group_inodes
        )

    def _groups(self, blocks: int) -> int:
        return max(-(-(blocks - self.first_block) // self.group_blocks), 1)

    def _descriptor_blocks(self, groups: int) -> int:
        return -(-groups * self.descriptor_bytes // self.block_bytes)


def kernel_blocks(blocks: int) -> int:
    """Return what Linux keeps of a mounted ext4 for itself (fs/ext4/super.c, ext4_calculate_resv_clusters)."""
    return min(-(-blocks // 50), 4096)


def ext_shape(read: Read, start: int) -> ExtShape | None:
    """Return how the ext2, ext3 or ext4 that begins at `start` is laid out, None when there is none."""
    data = read(start + 1024, 1024)
    if len(data) < 1024 or int.from_bytes(data[56:58], "little") != MAGIC:
        return None
    inodes, blocks, reserved, free, free_inodes, first, size = struct.unpack_from("<7I", data, 0)
    group_blocks, _, group_inodes, mounted_s, written_s = struct.unpack_from("<5I", data, 32)
    incompatible, read_only = struct.unpack_from("<2I", data, 96)
    inode_bytes, descriptor_bytes = 128, 32
    if int.from_bytes(data[76:80], "little"):
        inode_bytes = int.from_bytes(data[88:90], "little")
    if incompatible & IS_64BIT:
        high, reserved_high, free_high = struct.unpack_from("<3I", data, 336)
        blocks, reserved, free = blocks | high << 32, reserved | reserved_high << 32, free | free_high << 32
        descriptor_bytes = max(int.from_bytes(data[254:256], "little"), 32)
    if not group_blocks or not group_inodes or size > 6:
        return None
    return ExtShape(
        block_bytes=1024 << size,
        blocks=blocks,
        free_blocks=free,
        reserved_blocks=reserved,
        first_block=first,
        group_blocks=group_blocks,
        inodes=inodes,
        free_inodes=free_inodes,
        group_inodes=group_inodes,
        inode_bytes=inode_bytes,
        descriptor_bytes=descriptor_bytes,
        growth_blocks=int.from_bytes(data[206:208], "little"),
        has_few_copies=bool(read_only & SPARSE_SUPER),
        latest_s=max(mounted_s, written_s, int.from_bytes(data[64:68], "little")),
        is_clean=not incompatible & NEEDS_RECOVERY and data[58] & (VALID | WITH_ERRORS) == VALID,
    )
