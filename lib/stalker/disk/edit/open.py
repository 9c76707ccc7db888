"""The file systems of one image, each opened for changes when it is asked for.

Bytes of files written straight into an image, at the ranges that an editor gave.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.disk.edit.view import FileView, Overlay
from stalker.errors import InputError, NeedsRepair, StalkerError
from stalker.io.sparse import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from stalker.disk.edit.view import Data, Piece, View
    from stalker.disk.inspect import PartitionFacts
    from stalker.formats.fs.entry import Editor, Range

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class NamedPartitions:
    """Partitions by `boot`, `root`, `data` and their numbers as text; `why_no_root` where none is taken as the root."""

    by_name: Mapping[str, PartitionFacts]
    why_no_root: str = ""


class Editors:
    """Opens the file systems of an image, once each.

    `partitions` maps `boot`, `root`, `data` and numbers as text to what is known of them. `ready` is called to
    repair a file system that cannot be changed as it is; it raises StalkerError where that is not possible.
    """

    def __init__(
        self,
        view: View,
        partitions: NamedPartitions,
        *,
        mtime_s: int,
        ready: Callable[[PartitionFacts], None] = lambda _: None,
    ) -> None:
        self._view = view
        self._partitions = partitions
        self._mtime_s = mtime_s
        self._ready = ready
        self._open: dict[int, Editor] = {}
        self._raw: list[Piece] = []

    def has(self, name: str) -> bool:
        """Return whether there is such a partition, or one that may be it."""
        return name in self._partitions.by_name or bool(name == "root" and self._partitions.why_no_root)

    def facts(self, name: str) -> PartitionFacts:
        """Return what is known of a partition: `boot`, `root`, `data`, or its number. Raises StalkerError."""
        one = self._partitions.by_name.get(name)
        if one is None and name == "root" and self._partitions.why_no_root:
            raise StalkerError(
                "it is not known which partition is the root",
                self._partitions.why_no_root,
                "name its number in the configuration: root: 2",
            )
        if one is None:
            known = ", ".join(self._partitions.by_name)
            raise StalkerError(f"the image has no partition '{name}'", "", f"it has: {known}")
        return one

    def of(self, name: str) -> Editor:
        """Return the file system of a partition. Raises StalkerError when there is none that can be changed."""
        one = self.facts(name)
        number = one.entry.number
        if number not in self._open:
            self._open[number] = self._opened(name, one)
        return self._open[number]

    def is_open(self, name: str) -> bool:
        """Return whether the file system of a partition was opened. Raises StalkerError when there is no such one."""
        return self.facts(name).entry.number in self._open

    def overwrite(self, pieces: Sequence[Piece]) -> None:
        """Have `finish` write these bytes outside of the file systems that are open. Nothing is checked."""
        overlay = Overlay(self._view.descriptor)
        for at, data in pieces:
            overlay.pwrite(data, at)
        self._raw += overlay.changes()

    def opened(self) -> Sequence[Editor]:
        """Return those that were opened, in the order of the disk."""
        return [self._open[number] for number in sorted(self._open)]

    def pieces(self) -> list[Piece]:
        """Return what `finish` would write, by offset in the image."""
        return [*((at, data) for one in self.opened() for at, data in one.pieces()), *self._raw]

    def finish(self) -> None:
        """Finish all that were opened. Raises StalkerError."""
        for one in self.opened():
            one.finish()
        for at, data in self._raw:
            self._view.pwrite(data, at)

    def close(self) -> None:
        """End what was opened; what is not finished is forgotten."""
        for one in self._open.values():
            one.close()
        self._open.clear()

    def _opened(self, name: str, one: PartitionFacts) -> Editor:
        open_it = self._opener(name, one.filesystem.kind)
        try:
            return open_it(self._view, one.start_bytes, one.size_bytes, mtime_s=self._mtime_s)
        except NeedsRepair:
            self._ready(one)  # what its tool cannot repair is reported there
            return open_it(self._view, one.start_bytes, one.size_bytes, mtime_s=self._mtime_s)

    def _opener(self, name: str, kind: str) -> Callable[..., Editor]:
        # Both late: a FAT starts no process and loads nothing of one, which is 20 ms.
        if kind.startswith("fat"):
            from stalker.disk.edit.fat import FatEditor

            return FatEditor
        if kind.startswith("ext"):
            from stalker.disk.edit.ext4.editor import Ext4Editor

            return Ext4Editor
        raise StalkerError(
            f"partition '{name}' holds {kind or 'an unknown file system'}",
            "files can be put into FAT and ext2, ext3 or ext4",
            "choose another partition, or another base",
        )


def fill_from_file(
    view: View, ranges: Sequence[Range], source: Path, on_bytes: Callable[[int], None]
) -> None:
    """Copy a file of this host into its ranges; the kernel copies, where it can.

    Raises:
        InputError: it is shorter or longer than the ranges: it changed meanwhile.
        OSError: it could not be read, or the image not be written.
    """
    wanted = sum(one.length for one in ranges)
    with source.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if size_bytes != wanted:
            raise InputError(
                f"{source.name} changed while it was copied",
                f"it has {size_bytes} bytes, {wanted} were expected",
                "run again when nobody writes to it",
            )
        if not isinstance(view, FileView):
            pieces = iter(lambda: stream.read(PIECE_BYTES), b"")
            fill_from_pieces(view, ranges, pieces, source.name, on_bytes)
            return
        at = 0
        for start, length in ranges:
            place(stream.fileno(), view.descriptor, start, length, source_start=at, on_bytes=on_bytes)
            at += length


def fill_from_pieces(
    view: View,
    ranges: Sequence[Range],
    pieces: Iterable[Data],
    name: str,
    on_bytes: Callable[[int], None],
) -> None:
    """Write what comes in pieces into the ranges of the file `name`.

    Raises:
        InputError: fewer or more bytes came than there is room made for.
        OSError: the image could not be written.
    """
    wanted = sum(one.length for one in ranges)
    left = list(ranges)
    written = 0
    for data in pieces:
        piece = memoryview(data)
        if written + len(piece) > wanted:
            raise InputError(
                f"{name} is longer than expected", f"{wanted} bytes were expected", "fetch it again"
            )
        on_bytes(len(piece))
        while piece:
            start, length = left[0]
            count = min(length, len(piece))
            view.pwrite(piece[:count], start)
            piece = piece[count:]
            written += count
            left[0] = left[0]._replace(start=start + count, length=length - count)
            if not left[0].length:
                left.pop(0)
    if written != wanted:
        raise InputError(f"{name} ends early", f"{written} of {wanted} bytes came", "fetch it again")
