"""One directory of an ext4 in memory: its names found, added, replaced and removed; pure.

Its blocks are as libext2fs reads them. An entry: inode 4, length 2, length of the name 1, kind 1, name. With
checksums the last twelve bytes of a block look like an entry without a name. In an indexed directory some blocks
hold the index: they look like entries with much room, so its names are found as in any other.

A name that is replaced keeps its place, and the index stays good. A new one has no place in it, so the index
goes, as when debugfs adds one: the kernel then searches the blocks. libext2fs searches all blocks for each name;
here a name costs the same in a directory of sixty thousand.

Source: Linux, Documentation/filesystems/ext4/directory.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILE, FOLDER, LINK = 1, 2, 7
LEAST_BYTES = TAIL_BYTES = 12
TAIL = (0, TAIL_BYTES, 0, 0xDE)
"""Inode, length, length of the name and kind of what holds a checksum. In a block of an index the bytes of one may
be left, which no entry leads to."""
_HEAD = struct.Struct("<IHBB")


class Name(NamedTuple):
    """A name: its inode, and the place of its entry."""

    inode: int
    block: int
    at: int


class Directory:
    """The names of a directory. `dirty` are the blocks that were changed."""

    def __init__(self, blocks: Sequence[bytes], *, has_tail: bool, has_kinds: bool) -> None:
        """Read the blocks. Raises StalkerError when they are damaged."""
        self.blocks = [bytearray(block) for block in blocks]
        self.dirty: set[int] = set()
        self._has_tail, self._has_kinds = has_tail, has_kinds
        self._names: dict[bytes, Name] = {}
        self._block = 0
        """Where to look for room: what did not fit before this block is not tried again."""
        self._last: tuple[int, int] | None = None
        """The entry that was added last: the rest of its block is behind it."""
        for number, block in enumerate(self.blocks):
            for at, inode, _, size, _ in _entries(block):
                if inode:
                    self._names[bytes(block[at + 8 : at + 8 + size])] = Name(inode, number, at)

    def find(self, name: bytes) -> int:
        """Return the inode of a name, 0 where there is none."""
        found = self._names.get(name)
        return found.inode if found else 0

    def replace(self, name: bytes, inode: int, kind: int) -> None:
        """Give a name that is there another inode."""
        _, number, at = self._names[name]
        block = self.blocks[number]
        _, length, size, _ = _HEAD.unpack_from(block, at)
        _HEAD.pack_into(block, at, inode, length, size, kind if self._has_kinds else 0)
        self._names[name] = Name(inode, number, at)
        self.dirty.add(number)

    def add(self, name: bytes, inode: int, kind: int) -> bool:
        """Add a name that is not there; False where it has no room before the directory grows."""
        need = -(-(8 + len(name)) // 4) * 4
        if self._last and self._put(*self._last, need, name, inode, kind):
            return True
        while self._block < len(self.blocks):
            block = self.blocks[self._block]
            for at, *_ in list(_entries(block)):
                if self._put(self._block, at, need, name, inode, kind):
                    return True
            self._block += 1
        return False

    def grow(self, block: bytes) -> None:
        """Add a new block."""
        self.blocks.append(bytearray(block))

    def drop_index(self) -> None:
        """Make blocks of the index ordinary ones: with checksums they need the entry that holds one."""
        for number, block in enumerate(self.blocks):
            at, inode, length, size, kind = list(_entries(block))[-1]
            if not self._has_tail or (inode, length, size, kind) == TAIL:
                continue
            used = -(-(8 + size) // 4) * 4 if inode else 8
            if length - used < TAIL_BYTES:
                raise _damaged("a block has no room for its checksum")
            _HEAD.pack_into(block, at, inode, length - TAIL_BYTES, size, kind)
            _HEAD.pack_into(block, len(block) - TAIL_BYTES, *TAIL)
            self.dirty.add(number)

    def _put(self, number: int, at: int, need: int, name: bytes, inode: int, kind: int) -> bool:
        """Put a name behind the entry at `at`, or into it where it has no name; False where it has no room."""
        block = self.blocks[number]
        old, length, size, old_kind = _HEAD.unpack_from(block, at)
        if (old, length, size, old_kind) == TAIL:
            return False
        used = -(-(8 + size) // 4) * 4 if old else 0
        if length - used < need:
            return False
        if used:
            _HEAD.pack_into(block, at, old, used, size, old_kind)
        start = at + used
        _HEAD.pack_into(block, start, inode, length - used, len(name), kind if self._has_kinds else 0)
        block[start + 8 : start + 8 + len(name)] = name
        self._names[name] = Name(inode, number, start)
        self._last = (number, start)
        self.dirty.add(number)
        return True


def _entries(block: bytearray) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (place, inode, length, length of the name, kind) of each entry. Raises StalkerError."""
    at, end = 0, len(block)
    while at < end:
        inode, length, size, kind = _HEAD.unpack_from(block, at)
        if (
            length < LEAST_BYTES
            or length % 4
            or at + length > end
            or 8 + size > length
            or (inode and not size)
        ):
            raise _damaged(f"an entry at byte {at} of a block is invalid")
        yield at, inode, length, size, kind
        at += length


def _damaged(why: str) -> StalkerError:
    return StalkerError("a directory of the file system is damaged", why, "check it: e2fsck -f")
