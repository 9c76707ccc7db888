"""The folders of a FAT: found by path, made, grown, and put back when something fails on the way."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.image.edit.entries import Range
from stalker.image.edit.fat_boot import ENTRY_BYTES
from stalker.image.edit.fat_folder import FOLDER, FOLDER_BYTES, Contents, Folder, dots
from stalker.image.edit.fat_table import REPAIR
from stalker.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.image.edit.fat_boot import Geometry
    from stalker.image.edit.fat_table import Piece, Run, Table


class Tree:
    """The folders of one FAT, each read when it is first needed and kept."""

    def __init__(self, descriptor: int, geometry: Geometry, table: Table) -> None:
        self._descriptor = descriptor
        self._geometry = geometry
        self._table = table
        self._folders: dict[int, Folder] = {}
        self._marks: dict[int, tuple[bytes, int] | None] = {}
        """What the folders that were changed since `mark` were before; None for those that were not there."""

    @cached_property
    def root(self) -> Folder:
        """The root folder."""
        start, size_bytes = self._geometry.root_start, self._geometry.root_bytes
        if not size_bytes:
            return self._opened(self._geometry.root_cluster)
        where = [Range(start, size_bytes)]
        return self._kept(self.read(where), where, 0)

    def find(self, parts: Sequence[str]) -> Contents | None:
        """Return what stands at a path; None when there is nothing."""
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
        """Return a folder, made if it is not there; those above it that are missing get the time `above_s`.

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
        """Add a name to a folder, which grows if it must. Raises StalkerError when there is no room."""
        self.remember(folder)
        if lacking := folder.lacks(name):
            self._grow(folder, lacking)
        folder.add(name, contents, mtime_s)

    def remember(self, folder: Folder) -> None:
        """Keep what a folder is, before it is changed for the first time since the mark."""
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
        """Begin anew to keep what folders were before they are changed."""
        self._marks.clear()

    def go_back(self) -> None:
        """Make all folders again what they were at the mark."""
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
