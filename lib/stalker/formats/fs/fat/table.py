"""The allocation table of a FAT: chains of clusters read, made and given back, in memory.

Which clusters are taken is kept as a byte for each, so that room is found by `bytearray.find`: half a million
of them are searched in a millisecond. A cluster that is given back stays taken until `settle`, because what
is on the disk still needs its content until the new table is written.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from stalker.errors import NeedsRepair, StalkerError

if TYPE_CHECKING:
    from stalker.formats.fs.fat.boot_sector import Geometry

    Piece = tuple[int, bytes]
    """Bytes, and where in the image they are to stand."""

REPAIR = "repair it with `fsck.vfat -a` on the partition, and try again"

_LOW_NIBBLE = bytes(value & 0x0F for value in range(256))
_IS_TAKEN = b"\0" + b"\1" * 255
_INFO = struct.Struct("<II")
_INFO_AT = 488
"""Where the FSInfo has the number of free clusters and, behind it, the one that was taken last."""
_CLEAN = {16: 0xC000, 32: 0x0C000000}
"""What entry 1 has when the file system was left in order, and no error was met."""


class Run(NamedTuple):
    """Clusters in a row."""

    first: int
    length: int


class Table:
    """The table of one FAT, changed in memory. `pieces` says what of it differs from the disk."""

    def __init__(self, descriptor: int, geometry: Geometry) -> None:
        """Read the table. Raises StalkerError when its copies differ, or it is marked as not in order."""
        self._geometry = geometry
        self._mask = (1 << min(geometry.bits, 28)) - 1
        self._written = self._read(descriptor)
        self._entries = _decode(self._written, geometry.bits, geometry.last + 1)
        if geometry.is_dirty or ~self._entries[1] & _CLEAN.get(geometry.bits, 0):
            raise NeedsRepair(
                "the FAT file system is marked as not in order",
                "it was not unmounted, or an error was met in it: what it says of its room may be wrong",
                REPAIR,
            )
        self._hint, self._has_info = self._read_info(descriptor)
        self._held: list[Run] = []
        self._undo: list[tuple[int, array[int], bool]] = []

    @property
    def free(self) -> int:
        """How many clusters are available now."""
        return self._free

    def runs(self, first: int) -> list[Run]:
        """Follow a chain to its end. Raises StalkerError when it leads astray or into itself."""
        entries, mask, last = self._entries, self._mask, self._geometry.last
        found: list[Run] = []
        start = cluster = first
        for _ in range(last):
            if not 2 <= cluster <= last:
                _broken(first, f"to cluster {cluster}, which no file can have")
            after = entries[cluster] & mask
            if after != cluster + 1:
                found.append(Run(start, cluster - start + 1))
                if after >= mask - 7:
                    return found
                start = after
            cluster = after
        return _broken(first, "into itself")

    def allocate(self, count: int, behind: int = 0) -> list[Run]:
        """Make a chain of free clusters, in a row if possible; append it to a cluster if one is given.

        The caller has looked at `free`.
        """
        found = self._find(count)
        for run, after in zip(found, [*(run.first for run in found[1:]), self._mask], strict=True):
            values = array(self._entries.typecode, range(run.first + 1, run.first + run.length))
            values.append(after)
            self._set(run.first, values, was_free=True)
        if behind:
            self._set(behind, array(self._entries.typecode, [found[0].first]))
        self._hint = found[-1].first + found[-1].length - 1
        return found

    def give_back(self, first: int) -> None:
        """Free a chain; what it held is not taken again before `settle`."""
        for run in self.runs(first):
            self._held.append(run)
            self._set(run.first, array(self._entries.typecode, bytes(run.length * self._entries.itemsize)))

    def mark(self) -> tuple[int, int]:
        """Start to keep what is changed from here on, and return what `go_back` needs."""
        self._undo.clear()
        return len(self._held), self._hint

    def go_back(self, mark: tuple[int, int]) -> None:
        """Undo all changes since the mark."""
        for first, values, was_free in reversed(self._undo):
            self._entries[first : first + len(values)] = values
            if was_free:
                self._free += len(values)
                self._taken[first : first + len(values)] = bytes(len(values))
        held, self._hint = mark
        del self._held[held:]
        self._undo.clear()

    def pieces(self) -> list[Piece]:
        """Return the sectors that differ from those on the disk, for every copy, and the FSInfo."""
        now, was, step = self._encoded(), self._written, self._geometry.sector_bytes
        if now == was:
            return []
        changed = [at for at in range(0, len(now), step) if now[at : at + step] != was[at : at + step]]
        pieces = [(start + at, now[at : at + step]) for start in self._geometry.tables for at in changed]
        if self._has_info:
            free = self.free + sum(run.length for run in self._held)
            pieces.append((self._geometry.info_start + _INFO_AT, _INFO.pack(free, self._hint)))
        return pieces

    def settle(self) -> None:
        """Take what `pieces` said as written; what was given back can be taken again."""
        self._written = self._encoded()
        for run in self._held:
            self._free += run.length  # before the bytes: the first look at it counts them
            self._taken[run.first : run.first + run.length] = bytes(run.length)
        self._held.clear()
        self._undo.clear()

    def _find(self, count: int) -> list[Run]:
        taken, wanted = self._taken, bytes(count)
        at = taken.find(wanted, self._hint)
        if at < 0:
            at = taken.find(wanted, 2)
        if at >= 0:
            self._take(Run(at, count))
            return [Run(at, count)]
        found = []
        at = self._hint
        while count:
            start = taken.find(0, at)
            if start < 0:
                at = 2
                continue
            end = taken.find(1, start, start + count)
            run = Run(start, (end if end >= 0 else min(start + count, len(taken))) - start)
            self._take(run)
            found.append(run)
            count -= run.length
            at = start + run.length
        return found

    def _take(self, run: Run) -> None:
        self._free -= run.length
        self._taken[run.first : run.first + run.length] = b"\1" * run.length

    def _set(self, first: int, values: array[int], *, was_free: bool = False) -> None:
        """Write entries; the four high bits of those of FAT32 are not ours and stay."""
        was = self._entries[first : first + len(values)]
        if self._geometry.bits == 32 and max(was) > self._mask:
            values = array("I", [new | old & ~self._mask for new, old in zip(values, was, strict=True)])
        self._undo.append((first, was, was_free))
        self._entries[first : first + len(values)] = values

    @cached_property
    def _taken(self) -> bytearray:
        """A byte for each cluster: 0 when it is free."""
        return _taken(self._entries, self._geometry.bits)

    @cached_property
    def _free(self) -> int:
        return self._taken.count(0)

    def _encoded(self) -> bytes:
        return _encode(self._entries, self._geometry.bits, self._written)

    def _read(self, descriptor: int) -> bytes:
        size_bytes = self._geometry.table_bytes
        first, *others = (os.pread(descriptor, size_bytes, start) for start in self._geometry.tables)
        if len(first) < size_bytes:
            raise StalkerError("the image ends within its FAT file system", "", "take a whole image")
        if any(other != first for other in others):
            raise NeedsRepair(
                "the copies of the allocation table of the FAT file system differ",
                "nobody knows which of them is right",
                REPAIR,
            )
        return first

    def _read_info(self, descriptor: int) -> tuple[int, bool]:
        """Return where to look for room first, and whether there is an FSInfo."""
        sector = os.pread(descriptor, 512, self._geometry.info_start) if self._geometry.info_start else b""
        if len(sector) < 512 or sector[:4] != b"RRaA" or sector[484:488] != b"rrAa":
            return 2, False
        _, hint = _INFO.unpack_from(sector, _INFO_AT)
        return hint if 2 <= hint <= self._geometry.last else 2, True


def free_clusters(raw: bytes, geometry: Geometry) -> int:
    """Return how many clusters no file has, from the bytes of a table: at least `geometry.table_bytes` of them."""
    entries = _decode(raw[: geometry.table_bytes], geometry.bits, geometry.last + 1)
    return _taken(entries, geometry.bits).count(0)


def _broken(first: int, where: str) -> NoReturn:
    raise NeedsRepair(
        "a chain of clusters in the FAT file system is broken",
        f"what starts at cluster {first} leads {where}",
        REPAIR,
    )


def _decode(raw: bytes, bits: int, count: int) -> array[int]:
    if bits == 12:
        padded = raw + b"\0\0"
        pairs = (int.from_bytes(padded[at : at + 3], "little") for at in range(0, len(raw), 3))
        return array("H", [half for pair in pairs for half in (pair & 0xFFF, pair >> 12)][:count])
    entries = array("H" if bits == 16 else "I", raw)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries


def _encode(entries: array[int], bits: int, was: bytes) -> bytes:
    """Return the bytes of a table; `was` gives the half byte behind the last of an odd number of FAT12 entries."""
    if bits == 12:
        even = [*entries, was[-1] >> 4] if len(entries) % 2 else [*entries]
        pairs = (even[at] | even[at + 1] << 12 for at in range(0, len(even), 2))
        return b"".join(pair.to_bytes(3, "little") for pair in pairs)[: len(was)]
    raw = entries[:]
    if sys.byteorder == "big":
        raw.byteswap()
    return raw.tobytes()


def _taken(entries: array[int], bits: int) -> bytearray:
    """Return a byte for each entry: the bytes of all are laid over each other as four very long numbers."""
    raw = _encode(entries, 16 if bits == 12 else bits, b"")
    planes = [raw[byte :: entries.itemsize] for byte in range(entries.itemsize)]
    if bits == 32:
        planes[3] = planes[3].translate(_LOW_NIBBLE)
    laid = 0
    for plane in planes:
        laid |= int.from_bytes(plane, "little")
    taken = bytearray(laid.to_bytes(len(entries), "little").translate(_IS_TAKEN))
    taken[:2] = b"\1\1"
    return taken
