"""The names in the top directory of an ext2, ext3 or ext4, which say what the file system is for. Only read.

Nothing here trusts the file system: what lies outside of it, or does not fit together, gives None. A directory with
an index is read as one without: its index blocks look like unused entries.

Source: Linux, Documentation/filesystems/ext4/{group_descr,inodes,ifork,directory}.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from stalker.formats.fs.ext4 import EXTENT_MAGIC, find_super

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.formats.fs.ext4 import Super
    from stalker.formats.partition_table.table import Read

TOP_INODE = 2
BLOCKS_MAX = 64
"""More blocks are not read: a system has some thirty names at its top."""

_DEPTH_MAX = 5
_DIRECT_BLOCKS = 12
_USES_EXTENTS = 0x80000


def top_names(read: Read, start: int) -> frozenset[str] | None:
    """Return the names in the top directory of what begins at `start`, None where they cannot be read."""
    shape = find_super(read, start)
    if shape is None:
        return None
    names: set[str] = set()
    try:
        inode = _top_inode(read, start, shape)
        for block in list(_blocks(inode, read, start, shape))[:BLOCKS_MAX]:
            data = read(start + block * shape.block_bytes, shape.block_bytes)
            names.update(_names(data))
    except (struct.error, ValueError):
        return None
    return frozenset(names - {".", ".."}) if "." in names else None


def _top_inode(read: Read, start: int, shape: Super) -> bytes:
    descriptor = read(start + (shape.first_block + 1) * shape.block_bytes, shape.descriptor_bytes)
    table: int = struct.unpack_from("<I", descriptor, 8)[0]
    if shape.descriptor_bytes >= 64:
        table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
    if not 0 < table < shape.blocks:
        raise ValueError(table)
    return read(start + table * shape.block_bytes + (TOP_INODE - 1) * shape.inode_bytes, shape.inode_bytes)


def _blocks(inode: bytes, read: Read, start: int, shape: Super) -> Iterator[int]:
    mode, flags = struct.unpack_from("<H", inode)[0], struct.unpack_from("<I", inode, 32)[0]
    if mode >> 12 != 4:
        raise ValueError("not a directory")
    if flags & _USES_EXTENTS:
        yield from _extents(inode[40:100], read, start, shape, _DEPTH_MAX)
        return
    for block in struct.unpack_from(f"<{_DIRECT_BLOCKS}I", inode, 40):
        if 0 < block < shape.blocks:
            yield block


def _extents(node: bytes, read: Read, start: int, shape: Super, most: int) -> Iterator[int]:
    magic, entries, _, depth = struct.unpack_from("<4H", node)
    if magic != EXTENT_MAGIC or depth > most:
        raise ValueError("not a node of extents")
    for at in range(12, 12 + 12 * entries, 12):
        if depth:
            low, high = struct.unpack_from("<IH", node, at + 4)
            below = read(start + (high << 32 | low) * shape.block_bytes, shape.block_bytes)
            yield from _extents(below, read, start, shape, depth - 1)
        else:
            _, count, high, low = struct.unpack_from("<IHHI", node, at)
            first = high << 32 | low
            if first + count > shape.blocks:
                raise ValueError("an extent ends after its file system")
            yield from range(first, first + min(count, BLOCKS_MAX))


def _names(block: bytes) -> Iterator[str]:
    at = 0
    while at + 8 <= len(block):
        inode, length, name_bytes = struct.unpack_from("<IHB", block, at)
        if length < 8 or at + length > len(block):
            raise ValueError("an entry of no length")
        if inode:
            yield block[at + 8 : at + 8 + name_bytes].decode("utf-8", "replace")
        at += length
