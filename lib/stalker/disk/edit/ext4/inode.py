"""An inode of an ext4 as bytes, read and written; pure.

Source: Linux, Documentation/filesystems/ext4/inodes.rst and ifork.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from stalker.formats.fs.entry import Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.formats.fs.entry import Entry, Kind

    Runs = Sequence[tuple[int, int]]
    """Blocks in a row: the first one, and how many."""

SMALL_BYTES = 128
EXTRA_BYTES = 32
"""What is used of an inode behind the first 128 bytes: times up to 2446, and when it was made."""
TYPES: dict[Kind, int] = {"file": 0o100000, "folder": 0o040000, "link": 0o120000}
KINDS: dict[int, Kind] = {number: kind for kind, number in TYPES.items()}
TYPE_MASK = 0o170000
HAS_INDEX, HAS_EXTENTS = 0x1000, 0x80000
MAP_AT, MAP_BYTES = 40, 60
FAST_LINK_BYTES = 59
EXTENTS_IN_INODE, EXTENT_BLOCKS = 4, 32768
EXTENT_MAGIC = 0xF30A
FIRST_S = -(1 << 31)
LAST_S, LAST_SMALL_S = (1 << 34) - (1 << 31) - 1, (1 << 31) - 1
"""The times that an inode can hold, with and without two more bits."""


class Inode:
    """The bytes of an inode, which libext2fs reads and writes."""

    def __init__(self, data: bytes | bytearray) -> None:
        """Take the bytes of one."""
        self.data = bytearray(data)

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS.get(self._get("<H", 0) & TYPE_MASK, "other")

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self._get("<I", 4) | self._get("<I", 108) << 32

    @property
    def links(self) -> int:
        """How many names it has."""
        return self._get("<H", 26)

    @property
    def flags(self) -> int:
        """Its flags."""
        return self._get("<I", 32)

    @property
    def has_attribute_block(self) -> bool:
        """Return whether a block holds attributes of it."""
        return bool(self._get("<I", 104) or self._get("<H", 118))

    @property
    def is_fast_link(self) -> bool:
        """Return whether the target of a link is in the inode."""
        return self.kind == "link" and not self.flags & HAS_EXTENTS and 0 < self.size_bytes <= FAST_LINK_BYTES

    @property
    def map(self) -> bytes:
        """The bytes that say where its blocks are."""
        return bytes(self.data[MAP_AT : MAP_AT + MAP_BYTES])

    def found(self, target: bytes) -> Found:
        """Return what is known of it; `target` is that of a link."""
        mode, uid, gid = self._get("<H", 0), self._get("<H", 2), self._get("<H", 24)
        uid, gid = uid | self._get("<H", 120) << 16, gid | self._get("<H", 122) << 16
        text = target.decode("utf-8", "surrogateescape")
        return Found(self.kind, self.size_bytes, mode & 0o7777, uid, gid, text)

    def set_links(self, count: int) -> None:
        """Set how many names it has."""
        struct.pack_into("<H", self.data, 26, count)

    def set_flags(self, flags: int) -> None:
        """Set its flags."""
        struct.pack_into("<I", self.data, 32, flags)

    def set_size(self, size_bytes: int) -> None:
        """Set how large it is."""
        struct.pack_into("<I", self.data, 4, size_bytes & 0xFFFFFFFF)
        struct.pack_into("<I", self.data, 108, size_bytes >> 32)

    def set_blocks(self, sectors: int) -> None:
        """Set how many sectors of 512 bytes it takes."""
        struct.pack_into("<I", self.data, 28, sectors & 0xFFFFFFFF)
        struct.pack_into("<H", self.data, 116, sectors >> 32)

    def set_map(self, data: bytes) -> None:
        """Set where its blocks are, or the target of a link."""
        self.data[MAP_AT : MAP_AT + MAP_BYTES] = data.ljust(MAP_BYTES, b"\0")

    def set_deleted(self, time_s: int) -> None:
        """Make it one that is free."""
        self.set_links(0)
        struct.pack_into("<I", self.data, 20, time_s & 0xFFFFFFFF)

    def describe(self, entry: Entry) -> None:
        """Give it kind, mode, owner and times of an entry."""
        is_small = len(self.data) <= SMALL_BYTES
        mode = 0o777 if entry.kind == "link" else entry.mode
        time_s = min(max(entry.mtime_s, FIRST_S), LAST_SMALL_S if is_small else LAST_S)
        low = time_s & 0xFFFFFFFF
        struct.pack_into("<HH", self.data, 0, TYPES[entry.kind] | mode, entry.uid & 0xFFFF)
        struct.pack_into("<III", self.data, 8, low, low, low)
        struct.pack_into("<H", self.data, 24, entry.gid & 0xFFFF)
        struct.pack_into("<HH", self.data, 120, entry.uid >> 16, entry.gid >> 16)
        if not is_small:
            epoch = (time_s - (low - (low >> 31 << 32))) >> 32 & 3
            struct.pack_into("<HHIIIII", self.data, 128, EXTRA_BYTES, 0, epoch, epoch, epoch, low, epoch)

    def _get(self, form: str, at: int) -> int:
        found: int = struct.unpack_from(form, self.data, at)[0]
        return found


def extents(runs: Runs) -> list[tuple[int, int, int]]:
    """Return runs as extents (logical, length, physical), none longer than one can be."""
    found, logical = [], 0
    for first, length in runs:
        for at in range(0, length, EXTENT_BLOCKS):
            count = min(EXTENT_BLOCKS, length - at)
            found.append((logical, count, first + at))
            logical += count
    return found


def extent_map(found: Sequence[tuple[int, int, int]]) -> bytes:
    """Return the map of an inode with up to four extents."""
    head = struct.pack("<4HI", EXTENT_MAGIC, len(found), EXTENTS_IN_INODE, 0, 0)
    return head + b"".join(
        struct.pack("<IHHI", logical, count, first >> 32, first & 0xFFFFFFFF)
        for logical, count, first in found
    )
