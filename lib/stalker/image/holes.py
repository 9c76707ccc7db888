"""Which zeros of a file system count: what its tools may leave as holes in a file, and its driver reads.

A file system made in a file has holes in place of zeros that nobody needed to write. On a card there
stands something else: inodes of long ago, and a journal whose transactions could be played again, for
two builds of one image have the same UUID. So these are to be zeros, and the tables of a FAT.

Source: Linux, Documentation/filesystems/ext4: super.rst, group_descr.rst, inodes.rst (extents); Microsoft,
FAT32 File System Specification 1.03, 3.1.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.image.table import Read

MAGIC = 0xEF53
EXTENT_MAGIC = 0xF30A
HAS_64BIT = 0x80
META_BG = 0x10
GROUPS_MAX = 1 << 16


def zeros_that_count(read: Read, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the tables of the file system that begins at `start`.

    Those are the inode tables and the journal of an ext4, the file allocation tables of a FAT. Nothing for
    another one, and for one that is laid out in a way that is not known here.
    """
    head = read(start, 2048)
    if len(head) < 2048:
        return
    if int.from_bytes(head[1080:1082], "little") == MAGIC:
        yield from _ext4(head[1024:], read, start, size_bytes)
    elif head[510:512] == b"\x55\xaa" and head[0] in {0xEB, 0xE9}:
        yield from _fat(head, start, size_bytes)


def _fat(head: bytes, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    sector, cluster, reserved, fats, root_entries = struct.unpack_from("<HBHBH", head, 11)
    fat_sectors = struct.unpack_from("<H", head, 22)[0] or struct.unpack_from("<I", head, 36)[0]
    end = (reserved + fats * fat_sectors) * sector + root_entries * 32
    if sector in {512, 1024, 2048, 4096} and cluster and 0 < end <= size_bytes:
        yield start, start + end


def _ext4(block: bytes, read: Read, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    block_bytes = 1024 << struct.unpack_from("<I", block, 24)[0]
    blocks = struct.unpack_from("<I", block, 4)[0]
    first = struct.unpack_from("<I", block, 20)[0]
    per_group, inodes_per_group = (
        struct.unpack_from("<I", block, 32)[0],
        struct.unpack_from("<I", block, 40)[0],
    )
    inode_bytes = struct.unpack_from("<H", block, 88)[0]
    incompatible = struct.unpack_from("<I", block, 96)[0]
    descriptor_bytes = struct.unpack_from("<H", block, 254)[0] if incompatible & HAS_64BIT else 32
    if incompatible & HAS_64BIT:
        blocks |= struct.unpack_from("<I", block, 336)[0] << 32
    if not per_group or not inodes_per_group or block_bytes > 65536 or descriptor_bytes < 32:
        return
    groups = -(-(blocks - first) // per_group)
    if groups > GROUPS_MAX or incompatible & META_BG or blocks * block_bytes > size_bytes:
        return
    table_bytes = -(-inodes_per_group * inode_bytes // block_bytes) * block_bytes
    descriptors = read(start + (first + 1) * block_bytes, groups * descriptor_bytes)
    for group in range(len(descriptors) // descriptor_bytes):
        at = group * descriptor_bytes
        table = struct.unpack_from("<I", descriptors, at + 8)[0]
        if descriptor_bytes >= 64:
            table |= struct.unpack_from("<I", descriptors, at + 40)[0] << 32
        yield from _inside(start, table * block_bytes, table_bytes, size_bytes)
    for begin, count in _journal(block[268:336]):
        yield from _inside(start, begin * block_bytes, count * block_bytes, size_bytes)


def _journal(copy: bytes) -> Iterator[tuple[int, int]]:
    """Yield (block, count) of the journal, from the copy of its inode's extents in the superblock."""
    magic, entries, _, depth = struct.unpack_from("<4H", copy, 0)
    if magic != EXTENT_MAGIC or depth or entries > 4:
        return
    for number in range(entries):
        _, count, high, low = struct.unpack_from("<IHHI", copy, 12 + 12 * number)
        yield high << 32 | low, count if count <= 32768 else count - 32768


def _inside(start: int, begin: int, length: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    if begin > 0 and begin + length <= size_bytes:
        yield start + begin, start + begin + length
