"""One directory of a FAT in memory: its entries found by name, added, changed and removed.

A member of a directory is the entries of its long name, if it has one, and behind them the short one of 32 bytes:
name 11, attributes 1, case 1, made 5, used 2, high half of the cluster 2, changed 4, low half 2, size 4.

The directories of a FAT: found by path, made, grown, and put back when something fails on the way.
"""

from __future__ import annotations

import calendar
import os
import struct
import time
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError
from stalker.formats.fs.entry import Range
from stalker.formats.fs.fat.boot_sector import ENTRY_BYTES
from stalker.formats.fs.fat.names import (
    LONG,
    UNITS_EACH,
    LongName,
    case_of,
    checksum,
    fold,
    free_alias,
    long_entries,
    short_of,
    shown,
)
from stalker.formats.fs.fat.table import REPAIR
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.formats.fs.fat.boot_sector import Geometry
    from stalker.formats.fs.fat.table import Piece, Run, Table


FOLDER_BYTES = 65536 * ENTRY_BYTES
"""What a directory may have at most."""
LABEL = 0x08
FOLDER = 0x10
ARCHIVE = 0x20

_EARLIEST_S = 315532800
_LATEST_S = 4354819198
"""1980-01-01 00:00:00 and 2107-12-31 23:59:58 in UTC: what a time in a FAT can be."""
_SHORT = struct.Struct("<11sBBBHHHHHHHI")
_FREE = 0xE5
_KIND_BITS = 0x3F


class Member(NamedTuple):
    """A name in a directory. `at` is the number of its first entry, `length` how many it has."""

    name: str
    short: bytes
    at: int
    length: int


class Contents(NamedTuple):
    """What the short entry of a member says."""

    attributes: int
    cluster: int
    size_bytes: int


class Folder:
    """The entries of one directory. `where` are the bytes of the image that they lie in, `cluster` its first one.

    `cluster` is 0 for a root directory of fixed size, `has_high` says that clusters have more than 16 bits.
    """

    def __init__(
        self, data: bytes, where: Sequence[Range], cluster: int, *, is_new: bool, has_high: bool
    ) -> None:
        self.cluster = cluster
        self.where = [*where]
        self._has_high = has_high
        self._end = 0
        self._written = b"" if is_new else data
        self._fill(data)

    def find(self, name: str) -> Member | None:
        """Return what has this name, or this one as its short name. Case does not count."""
        return self.own(name) or self._shorts.get(short_of(name) or b"")

    def own(self, name: str) -> Member | None:
        """Return what has this name as its own, not as the short name of a longer one."""
        return self._names.get(fold(name))

    def contents(self, member: Member) -> Contents:
        """Return what a member is, where it begins, and how long it is."""
        fields = _SHORT.unpack_from(self._data, (member.at + member.length - 1) * ENTRY_BYTES)
        high = fields[7] if self._has_high else 0
        return Contents(fields[1], high << 16 | fields[10], fields[11])

    def members(self) -> list[Member]:
        """Return all that is in it, in the order of the entries."""
        return sorted(self._names.values(), key=lambda one: one.at)

    def mtime_s(self, member: Member) -> int:
        """Return when a member was changed: what a FAT says without a zone, taken as UTC."""
        fields = _SHORT.unpack_from(self._data, (member.at + member.length - 1) * ENTRY_BYTES)
        clock, day = fields[8], fields[9]
        date = (1980 + (day >> 9), day >> 5 & 15, day & 31)
        return calendar.timegm((*date, clock >> 11, clock >> 5 & 63, 2 * (clock & 31)))

    def lacks(self, name: str) -> int:
        """Return how many entries are missing to add this name."""
        count = self._count_of(name)
        return max(0, self._room(count) + count - len(self._data) // ENTRY_BYTES)

    def add(self, name: str, contents: Contents, mtime_s: int) -> None:
        """Add a name that is not there; the caller has looked at `lacks`.

        A file that has it as a mere short name gets another one: nothing is lost by a number that
        made up. Raises StalkerError when no short name is left.
        """
        own = short_of(name)
        if own and (other := self._shorts.get(own)):
            self._give_alias(other, own)
        short = own or free_alias(name, self._shorts, self._tails)
        if not short:
            raise _full(name)
        case = case_of(name) if own else None
        entries = [
            *(long_entries(name, short) if case is None else ()),
            _short(short, case or 0, contents, mtime_s),
        ]
        at = self._room(len(entries))
        end = (at + len(entries)) * ENTRY_BYTES
        self._data[at * ENTRY_BYTES : end] = b"".join(entries)
        if end > self._end * ENTRY_BYTES:
            self._data[end:] = bytes(len(self._data) - end)  # what ends the directory is a zero
            self._end = end // ENTRY_BYTES
        self._keep(Member(name, short, at, len(entries)))

    def change(self, member: Member, contents: Contents, mtime_s: int) -> None:
        """Give a member other content; its name and its attributes stay."""
        at = (member.at + member.length - 1) * ENTRY_BYTES
        case, attributes = self._data[at + 12], self._data[at + 11]
        contents = contents._replace(attributes=attributes | contents.attributes)
        self._data[at : at + ENTRY_BYTES] = _short(member.short, case, contents, mtime_s)

    def remove(self, member: Member) -> None:
        """Remove a name."""
        self._has_gaps = True
        for number in range(member.at, member.at + member.length):
            self._data[number * ENTRY_BYTES] = _FREE
        self._names.pop(fold(member.name), None)
        self._shorts.pop(member.short, None)

    def grow(self, where: Sequence[Range]) -> None:
        """Add room: clusters of the image that are zeros from now on."""
        self.where += where
        self._data += bytes(sum(one.length for one in where))

    def mark(self) -> tuple[bytes, int]:
        """Return what `go_back` needs."""
        return bytes(self._data), len(self.where)

    def go_back(self, mark: tuple[bytes, int]) -> None:
        """Make it again what it was at the mark."""
        data, count = mark
        del self.where[count:]
        self._fill(data)

    def pieces(self, step: int) -> list[Piece]:
        """Return the sectors, of `step` bytes, that differ from those on the disk."""
        now, was, done = bytes(self._data), self._written, 0
        if now == was:
            return []
        pieces = []
        for start, length in self.where:
            for at in range(done, done + length, step):
                piece = now[at : min(at + step, done + length)]
                if piece != was[at : at + len(piece)]:
                    pieces.append((start + at - done, piece))
            done += length
        return pieces

    def settle(self) -> None:
        """Take what `pieces` said as written."""
        self._written = bytes(self._data)

    @property
    def size_bytes(self) -> int:
        """How much room its entries have."""
        return len(self._data)

    def _count_of(self, name: str) -> int:
        if short_of(name) and case_of(name) is not None:
            return 1
        return 1 - -len(name.encode("utf-16-le")) // (2 * UNITS_EACH)

    def _room(self, count: int) -> int:
        """Return where so many entries have room in a row: removed ones, or behind the last."""
        if not self._has_gaps:
            return self._end
        firsts = bytes(self._data[: self._end * ENTRY_BYTES : ENTRY_BYTES])
        at = firsts.find(bytes([_FREE]) * count)
        return at if at >= 0 else len(firsts.rstrip(bytes([_FREE])))

    def _give_alias(self, member: Member, but: bytes) -> None:
        """Give a member with a long name another short one."""
        short = free_alias(member.name, self._shorts, self._tails)
        if not short:
            raise _full(member.name)
        total = checksum(short)
        *longs, last = range(member.at, member.at + member.length)
        for number in longs:
            self._data[number * ENTRY_BYTES + 13] = total
        self._data[last * ENTRY_BYTES : last * ENTRY_BYTES + 11] = short
        del self._shorts[but]
        self._keep(member._replace(short=short))

    def _keep(self, member: Member) -> None:
        self._names[fold(member.name)] = member
        self._shorts[member.short] = member

    def _fill(self, data: bytes) -> None:
        """Read the entries; what is behind the first that was never used means nothing."""
        self._data = bytearray(data)
        self._names: dict[str, Member] = {}
        self._shorts: dict[bytes, Member] = {}
        self._tails: dict[tuple[str, str], int] = {}
        self._has_gaps = False
        long = LongName()
        self._end = len(data) // ENTRY_BYTES
        for number in range(self._end):
            at = number * ENTRY_BYTES
            first, attributes = data[at], data[at + 11]
            if not first:
                self._end = number
                break
            if first == _FREE:
                self._has_gaps = True
                long.drop()
            elif attributes & _KIND_BITS == LONG:
                long.take(data[at : at + ENTRY_BYTES])
            elif attributes & LABEL or data[at : at + 11] in {b".          ", b"..         "}:
                long.drop()
            else:
                short = data[at : at + 11]
                name, count = long.end(short)
                self._keep(Member(name or shown(short, data[at + 12]), short, number - count, count + 1))


def dots(own: int, parent: int, mtime_s: int) -> bytes:
    """Return the two entries that a new directory begins with; `parent` is 0 when that is the root directory."""
    names = ((b".          ", own), (b"..         ", parent))
    return b"".join(_short(name, 0, Contents(FOLDER, cluster, 0), mtime_s) for name, cluster in names)


def _short(short: bytes, case: int, contents: Contents, mtime_s: int) -> bytes:
    moment = time.gmtime(min(max(mtime_s, _EARLIEST_S), _LATEST_S))
    day = moment.tm_year - 1980 << 9 | moment.tm_mon << 5 | moment.tm_mday
    clock = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
    high, low = divmod(contents.cluster, 1 << 16)
    odd = moment.tm_sec % 2 * 100  # of the hundredths since the even second
    return _SHORT.pack(
        short, contents.attributes, case, odd, clock, day, day, high, clock, day, low, contents.size_bytes
    )


def _full(name: str) -> StalkerError:
    return StalkerError(
        "a folder of the FAT file system is full of names that begin alike",
        f"no short name is left for {name}",
        "use several folders",
    )


class Tree:
    """The directories of one FAT, each read when it is first needed and kept."""

    def __init__(self, descriptor: int, geometry: Geometry, table: Table) -> None:
        self._descriptor = descriptor
        self._geometry = geometry
        self._table = table
        self._folders: dict[int, Folder] = {}
        self._marks: dict[int, tuple[bytes, int] | None] = {}
        """What the directories that were changed since `mark` were before; None for those that were not there."""

    @cached_property
    def root(self) -> Folder:
        """The root directory."""
        start, size_bytes = self._geometry.root_start, self._geometry.root_bytes
        if not size_bytes:
            return self._opened(self._geometry.root_cluster)
        where = [Range(start, size_bytes)]
        return self._kept(self.read(where), where, 0)

    def find(self, parts: Sequence[str]) -> Contents | None:
        """Return what is at a path; None when there is nothing."""
        here = self.root
        found = Contents(FOLDER, here.cluster, 0)
        for depth, name in enumerate(parts):
            if depth:
                here = self._opened(found.cluster)
            member = here.find(name)
            if not member:
                return None
            found = here.contents(member)
            if depth < len(parts) - 1 and not found.attributes & FOLDER:
                return None
        return found

    def folder(self, parts: Sequence[str], mtime_s: int, above_s: int) -> Folder:
        """Return a directory, made if it is not there; those above it that are missing get the time `above_s`.

        Raises:
            StalkerError: a file is in the way, or there is no room.
        """
        here = self.root
        for depth, name in enumerate(parts, 1):
            member = here.own(name)
            if not member:
                here = self._made(here, name, mtime_s if depth == len(parts) else above_s)
                continue
            contents = here.contents(member)
            if not contents.attributes & FOLDER:
                path = "/" + "/".join(parts[:depth])
                raise StalkerError(
                    f"{path} is a file of the FAT file system",
                    "a folder was to be there",
                    "choose another path, or another base",
                )
            here = self._opened(contents.cluster)
        return here

    def add(self, folder: Folder, name: str, contents: Contents, mtime_s: int) -> None:
        """Add a name to a directory, which grows if it must. Raises StalkerError when there is no room."""
        self.remember(folder)
        if lacking := folder.lacks(name):
            self._grow(folder, lacking)
        folder.add(name, contents, mtime_s)

    def remember(self, folder: Folder) -> None:
        """Keep what a directory is, before it is changed for the first time since the mark."""
        if folder.cluster not in self._marks:
            self._marks[folder.cluster] = folder.mark()

    def allocate(self, count: int, behind: int = 0) -> list[Run]:
        """Take clusters, and hang them behind another one. Raises StalkerError when there are not as many."""
        self.check_room(count)
        return self._table.allocate(count, behind)

    def check_room(self, count: int) -> None:
        """Raise StalkerError when there are not so many free clusters."""
        free, cluster_bytes = self._table.free, self._geometry.cluster_bytes
        if count > free:
            raise StalkerError(
                f"the FAT file system is too small: {size_text((count - free) * cluster_bytes)} are missing, at least",
                f"{size_text(free * cluster_bytes)} are free; what a replaced file had comes free only after it",
                "make the partition larger, or put less on it",
            )

    def ranges(self, runs: Iterable[Run]) -> list[Range]:
        """Return where clusters lie in the image."""
        geometry = self._geometry
        return [Range(geometry.offset(run.first), run.length * geometry.cluster_bytes) for run in runs]

    def read(self, ranges: Sequence[Range]) -> bytes:
        """Read bytes of the image. Raises StalkerError when it ends before them."""
        pieces = [os.pread(self._descriptor, one.length, one.start) for one in ranges]
        if any(len(data) < one.length for data, one in zip(pieces, ranges, strict=True)):
            raise StalkerError("the image ends within its FAT file system", "", "take a whole image")
        return b"".join(pieces)

    def mark(self) -> None:
        """Start again to keep what directories were before they are changed."""
        self._marks.clear()

    def go_back(self) -> None:
        """Make all directories again what they were at the mark."""
        for cluster, mark in self._marks.items():
            if mark:
                self._folders[cluster].go_back(mark)
            else:
                self._folders.pop(cluster, None)
        self._marks.clear()

    def pieces(self) -> list[Piece]:
        """Return what differs from the disk."""
        step = self._geometry.sector_bytes
        return [piece for folder in self._folders.values() for piece in folder.pieces(step)]

    def settle(self) -> None:
        """Take what `pieces` said as written."""
        for folder in self._folders.values():
            folder.settle()

    def _opened(self, cluster: int) -> Folder:
        if not cluster or cluster not in self._folders:
            where = self.ranges(self._table.runs(cluster))
            if sum(one.length for one in where) > FOLDER_BYTES:
                raise StalkerError("a folder of the FAT file system is larger than one can be", "", REPAIR)
            self._kept(self.read(where), where, cluster)
        return self._folders[cluster]

    def _kept(self, data: bytes, where: Sequence[Range], cluster: int, *, is_new: bool = False) -> Folder:
        folder = Folder(data, where, cluster, is_new=is_new, has_high=self._geometry.bits == 32)
        self._folders[cluster] = folder
        return folder

    def _made(self, parent: Folder, name: str, mtime_s: int) -> Folder:
        [run] = self.allocate(1)
        entries = dots(run.first, 0 if parent is self.root else parent.cluster, mtime_s)
        data = entries + bytes(self._geometry.cluster_bytes - len(entries))
        folder = self._kept(data, self.ranges([run]), run.first, is_new=True)
        self._marks[run.first] = None
        self.add(parent, name, Contents(FOLDER, run.first, 0), mtime_s)
        return folder

    def _grow(self, folder: Folder, lacking: int) -> None:
        room = folder.size_bytes // ENTRY_BYTES
        count = -(-lacking * ENTRY_BYTES // self._geometry.cluster_bytes)
        if not folder.cluster:
            raise StalkerError(
                f"the root folder of the FAT{self._geometry.bits} file system is full",
                f"it has room for {room} entries and cannot grow; a long name takes several",
                "put files into a folder below it",
            )
        if folder.size_bytes + count * self._geometry.cluster_bytes > FOLDER_BYTES:
            raise StalkerError(
                "a folder of the FAT file system is full",
                f"it has {room} entries; a long name takes several",
                "use several folders",
            )
        start, length = folder.where[-1]
        last = self._geometry.cluster(start + length - 1)
        folder.grow(self.ranges(self.allocate(count, last)))
