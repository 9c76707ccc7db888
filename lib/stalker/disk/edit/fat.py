"""A FAT12, FAT16 or FAT32 changed where it lies in an image.

What changes of its table and its directories is kept in memory, `pieces` tells it, `finish` writes it. Until then
the file system on the disk is the old one, whole: no cluster that it uses is given to a new file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.disk.edit.view import merged
from stalker.errors import StalkerError
from stalker.formats.fs.entry import Found, Range
from stalker.formats.fs.fat.boot_sector import read_geometry
from stalker.formats.fs.fat.directory import ARCHIVE, FOLDER, Contents, Tree
from stalker.formats.fs.fat.names import trouble_of
from stalker.formats.fs.fat.table import REPAIR, Table
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.disk.edit.view import View
    from stalker.formats.fs.entry import Entry
    from stalker.formats.fs.fat.table import Piece

FILE_BYTES = (1 << 32) - 1
READ_BYTES = 16 << 20
_SHOWN = 20
"""How many refused entries an error names."""
_WHAT = {"link": "a link", "hardlink": "a hard link"}


class FatEditor:
    """A FAT that is open for changes; see `Editor`. `mtime_s` is for directories that are made on the way."""

    def __init__(self, view: View, start: int, size_bytes: int, *, mtime_s: int) -> None:
        """Open the FAT at `start` of an image. Raises StalkerError when it is none, or must be repaired first."""
        self._view = view
        descriptor = view.descriptor
        self._mtime_s = mtime_s
        self._geometry = read_geometry(descriptor, start, size_bytes)
        self._table = Table(descriptor, self._geometry)
        self._tree = Tree(descriptor, self._geometry, self._table)
        self._slack: list[Range] = []

    @property
    def free_bytes(self) -> int:
        """How much more data fits, in whole clusters."""
        return self._table.free * self._geometry.cluster_bytes

    def look(self, paths: Sequence[str]) -> Mapping[str, Found]:
        """Return what is at each of these paths; case does not count."""
        found = {}
        for path in paths:
            if contents := self._tree.find(_parts(path)):
                is_folder = contents.attributes & FOLDER
                found[path] = Found("folder") if is_folder else Found("file", contents.size_bytes)
        return found

    def resolve(self, path: str) -> str:
        """Return the path: there are no links in a FAT."""
        return path

    def read(self, path: str) -> bytes:
        """Return the whole content of a file. Raises StalkerError when it is none, or larger than 16 MiB."""
        contents = self._tree.find(_parts(path))
        if not contents or contents.attributes & FOLDER:
            raise StalkerError(f"{path} is not a file of the FAT file system", "", "look for its name")
        if contents.size_bytes > READ_BYTES:
            size = size_text(contents.size_bytes)
            raise StalkerError(
                f"{path} is too large to be read at once", f"it has {size}", "take a smaller one"
            )
        if not contents.size_bytes:
            return b""
        ranges = _cut(self._tree.ranges(self._table.runs(contents.cluster)), contents.size_bytes)
        if sum(one.length for one in ranges) < contents.size_bytes:
            raise StalkerError(f"{path} has fewer bytes in the FAT file system than it should", "", REPAIR)
        return self._tree.read(ranges)

    def put(self, entries: Sequence[Entry]) -> Mapping[str, Sequence[Range]]:
        """Make these, in order, and return where the bytes of each file with any are to be written."""
        _check(entries)
        files = [entry for entry in entries if entry.kind == "file"]
        self._tree.check_room(sum(self._clusters(entry.size_bytes) for entry in files))
        ranges: dict[str, Sequence[Range]] = {}
        slack, table = len(self._slack), self._table.mark()
        self._tree.mark()
        try:
            for entry in entries:
                if entry.kind == "folder":
                    self._put_folder(entry)
                    ranges.pop(entry.path, None)
                else:
                    ranges[entry.path] = self._put_file(entry)
        except BaseException:
            del self._slack[slack:]
            self._table.go_back(table)
            self._tree.go_back()
            raise
        return {path: room for path, room in ranges.items() if room}

    def pieces(self) -> list[Piece]:
        """Return what `finish` writes, by place in the image, merged where one ends at the next."""
        slack = [(start, bytes(length)) for start, length in self._slack]
        return merged(self._table.pieces() + self._tree.pieces() + slack)

    def finish(self) -> None:
        """Write table and directories. Raises StalkerError when the image cannot be written; try again then."""
        try:
            for at, data in self.pieces():
                self._view.pwrite(data, at)
        except OSError as error:
            raise StalkerError(
                "the FAT file system could not be written", str(error), "make room where the image lies"
            ) from error
        self._table.settle()
        self._tree.settle()
        self._slack.clear()

    def close(self) -> None:
        """Give nothing back: it holds memory alone."""

    def _put_folder(self, entry: Entry) -> None:
        """Make a directory, in the place of a file too; one that is there stays."""
        parts = _parts(entry.path)
        if parts:
            above = self._tree.folder(parts[:-1], self._mtime_s, self._mtime_s)
            old = above.own(parts[-1])
            if old and not (was := above.contents(old)).attributes & FOLDER:
                self._tree.remember(above)
                self._give_back(was)
                above.remove(old)
        self._tree.folder(parts, entry.mtime_s, self._mtime_s)

    def _put_file(self, entry: Entry) -> Sequence[Range]:
        *above, name = _parts(entry.path)
        folder = self._tree.folder(above, self._mtime_s, self._mtime_s)
        self._tree.remember(folder)
        old = folder.own(name)
        if old:
            was = folder.contents(old)
            if was.attributes & FOLDER:
                raise StalkerError(
                    f"{entry.path} is a folder of the FAT file system",
                    "a file was to be put there",
                    "choose another path, or another base",
                )
            self._give_back(was)
        ranges, cluster = self._room_for(entry.size_bytes)
        contents = Contents(ARCHIVE, cluster, entry.size_bytes)
        if old and old.name == name:
            folder.change(old, contents, entry.mtime_s)
            return ranges
        if old:
            folder.remove(old)
        self._tree.add(folder, name, contents, entry.mtime_s)
        return ranges

    def _give_back(self, contents: Contents) -> None:
        if contents.cluster:
            self._table.give_back(contents.cluster)

    def _room_for(self, size_bytes: int) -> tuple[Sequence[Range], int]:
        """Return where a file of this size is to be written, and its first cluster; see to zeros behind its end."""
        if not size_bytes:
            return (), 0
        runs = self._tree.allocate(self._clusters(size_bytes))
        ranges = self._tree.ranges(runs)
        end = ranges[-1].start + ranges[-1].length
        behind = -size_bytes % self._geometry.cluster_bytes
        # a new image is zeros already, and its holes are to stay
        if behind and self._view.pread(behind, end - behind).strip(b"\0"):
            self._slack.append(Range(end - behind, behind))
        return _cut(ranges, size_bytes), runs[0].first

    def _clusters(self, size_bytes: int) -> int:
        return -(-size_bytes // self._geometry.cluster_bytes)


def _check(entries: Sequence[Entry]) -> None:
    """Refuse what a FAT cannot hold, all at once."""
    problems = [f"{entry.path}: {why}" for entry in entries if (why := _trouble_of(entry))]
    if problems:
        more = len(problems) - _SHOWN
        said = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        count = "an entry" if len(problems) == 1 else f"{len(problems)} entries"
        raise StalkerError(
            f"a FAT file system cannot hold {count}",
            "\n".join(said).encode("utf-8", "backslashreplace").decode(),
            "leave them out, rename them, or use another file system",
        )


def _trouble_of(entry: Entry) -> str:
    if entry.kind not in {"file", "folder"}:
        return f"{_WHAT.get(entry.kind, 'a device, a pipe or a socket')}; only files and folders can be there"
    parts = _parts(entry.path)
    if entry.kind == "file" and not parts:
        return "this is the root folder"
    if entry.size_bytes > FILE_BYTES:
        return f"it has {size_text(entry.size_bytes)}, a file can have 4 GiB - 1 at most"
    return next((why for part in parts if (why := trouble_of(part))), "")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _cut(ranges: Sequence[Range], size_bytes: int) -> list[Range]:
    """Return the beginning of ranges: so many bytes of them."""
    cut = []
    for start, length in ranges:
        if not size_bytes:
            break
        cut.append(Range(start, min(length, size_bytes)))
        size_bytes -= cut[-1].length
    return cut
