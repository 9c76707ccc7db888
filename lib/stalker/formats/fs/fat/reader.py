"""The files of a FAT: what there is, where its bytes are, and names taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError
from stalker.formats.fs.entry import Range
from stalker.formats.fs.fat.boot_sector import read_geometry
from stalker.formats.fs.fat.directory import FOLDER, Tree
from stalker.formats.fs.fat.table import REPAIR, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stalker.formats.fs.fat.table import Piece


class FatFile(NamedTuple):
    """A file or directory; `path` is relative, with slashes. The bytes of a file are those of `ranges`, in order."""

    path: str
    is_folder: bool
    size_bytes: int
    mtime_s: int
    ranges: tuple[Range, ...]


class FatReader:
    """Reads a FAT at its place in an open image.

    Every method raises StalkerError where it is damaged.
    """

    def __init__(self, descriptor: int, start: int, size_bytes: int) -> None:
        self._geometry = read_geometry(descriptor, start, size_bytes)
        self._table = Table(descriptor, self._geometry)
        self._tree = Tree(descriptor, self._geometry, self._table)

    def walk(self) -> Iterator[FatFile]:
        """Yield all files, a directory before what is in it, names in order."""
        pending: list[tuple[str, ...]] = [()]
        clusters: set[int] = set()
        while pending:
            parts = pending.pop()
            folder = self._tree.folder(parts, 0, 0)
            if folder.cluster in clusters:
                raise StalkerError(
                    "a directory of the FAT file system is in two places", "/".join(parts), REPAIR
                )
            clusters.add(folder.cluster)
            below = []
            for member in sorted(folder.members(), key=lambda one: one.name):
                contents = folder.contents(member)
                is_folder = bool(contents.attributes & FOLDER)
                path = (*parts, member.name)
                ranges = (
                    () if is_folder else self._ranges("/".join(path), contents.cluster, contents.size_bytes)
                )
                size = 0 if is_folder else contents.size_bytes
                yield FatFile("/".join(path), is_folder, size, folder.mtime_s(member), ranges)
                if is_folder:
                    below.append(path)
            pending += reversed(below)

    def removed(self, paths: Iterable[str]) -> list[Piece]:
        """Return what is to be written so that files, and directories with nothing left in them, are gone."""
        self._tree.mark()
        self._tree.check_room(0)  # what is free is counted before anything is given back
        for path in sorted(paths, key=lambda one: -one.count("/")):
            *above, name = path.split("/")
            folder = self._tree.folder(above, 0, 0)
            member = folder.own(name)
            assert member is not None, path
            contents = folder.contents(member)
            self._tree.remember(folder)
            if contents.cluster:
                self._table.give_back(contents.cluster)
            folder.remove(member)
        return self._table.pieces() + self._tree.pieces()

    def _ranges(self, path: str, cluster: int, size_bytes: int) -> tuple[Range, ...]:
        found, left = [], size_bytes
        for start, length in self._tree.ranges(self._table.runs(cluster)) if size_bytes else ():
            if left > 0:
                found.append(Range(start, min(length, left)))
            left -= length
        if left > 0:
            raise StalkerError(f"{path} has fewer bytes in the FAT file system than it should", "", REPAIR)
        return tuple(found)
