"""A FAT of a disk filled from a tar, in the order of the names.

The tar comes in the order of an engine, and the same content has to give the same bytes on each: so it waits in a
file next to the image, without a name, until all of it is there. mtools look through a whole directory for each
name: thousands of them took minutes. Here each is found at once.
"""

from __future__ import annotations

import posixpath
import tarfile
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from stalker.disk.edit.fat import FatEditor
from stalker.disk.edit.open import fill_from_pieces
from stalker.disk.edit.view import FileView
from stalker.errors import InputError
from stalker.formats.fs.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.disk.layout import Placed
    from stalker.formats.fs.entry import Kind

PIECE_BYTES = 1 << 20


class FatContent:
    """Takes a tar as a `FedTool` does; `wait` puts what is in it into the FAT at its place in `image`."""

    def __init__(self, image: Path, placed: Placed, epoch_s: int) -> None:
        """Take a FAT that is empty; directories without a time of their own get `epoch_s`."""
        self._image, self._placed, self._epoch_s = image, placed, epoch_s
        self._spool: BinaryIO = tempfile.TemporaryFile(dir=image.parent)  # noqa: SIM115

    def write(self, data: bytes | memoryview) -> bool:
        """Take a piece of the tar. Raises OSError when the disk of this host is full."""
        self._spool.write(data)
        return True

    def end(self) -> None:
        """Hear that all of it is there."""

    def wait(self) -> bytes:
        """Fill the FAT.

        Raises:
            InputError: it is not a whole tar.
            StalkerError: the FAT cannot hold it.
            OSError: the image cannot be written.
        """
        with self._spool, self._image.open("r+b", buffering=0) as stream:
            self._spool.seek(0)
            try:
                with tarfile.open(fileobj=self._spool, encoding="utf-8", errors="surrogateescape") as archive:
                    self._fill(archive, FileView(stream.fileno()))
            except tarfile.TarError as error:
                raise InputError("what goes onto a FAT is not a whole tar", str(error)) from error
        return b""

    def _fill(self, archive: tarfile.TarFile, view: FileView) -> None:
        members = dict(sorted(_members(archive)))
        size_bytes = self._placed.size_bytes
        editor = FatEditor(view, self._placed.start_bytes, size_bytes, mtime_s=self._epoch_s)
        ranges = editor.put(_entries(members))
        for path, member in members.items():
            if path in ranges and (source := archive.extractfile(_real(member, members))):
                pieces = iter(lambda: source.read(PIECE_BYTES), b"")
                fill_from_pieces(view, ranges[path], pieces, path, lambda _: None)
        editor.finish()


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for member in archive:
        path = posixpath.normpath(f"/{member.name}")
        if path != "/":
            yield path, member


def _entries(members: Mapping[str, tarfile.TarInfo]) -> Sequence[Entry]:
    found = []
    for path, member in members.items():
        real = _real(member, members)
        kind: Kind = "folder" if real.isdir() else "file"
        size = 0 if kind == "folder" else real.size
        found.append(Entry(path, kind, size, mtime_s=int(member.mtime)))
    return found


def _real(member: tarfile.TarInfo, members: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """Return what has the content of a member: a hard link has none of its own."""
    return members[posixpath.normpath(f"/{member.linkname}")] if member.islnk() else member
