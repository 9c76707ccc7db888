"""A file system with its staged changes: reads return what will be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.card.payload import Bytes, Copied, Stock
from stalker.disk.edit.ext4.paths import followed, prefixes
from stalker.disk.edit.fat import FatEditor
from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry, Found
from stalker.formats.fs.fat.names import fold_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from stalker.formats.fs.entry import Editor

_BELOW = "/."
"""What is put behind a path so that its own last part is on the way, and followed."""


class Draft:
    """Collects changes of one file system; nothing is written by it.

    Each path that is looked at for the first time may be a message to another process: `know` looks at many at once.
    """

    def __init__(self, editor: Editor, *, mtime_s: int) -> None:
        self._editor = editor
        self._mtime_s = mtime_s
        self._found: dict[str, Found | None] = {"/": Found("folder")}
        self._content: dict[str, bytes] = {}
        self._parts: dict[str, Bytes | Copied] = {}

    @property
    def stock(self) -> Stock:
        """What is to be put, each path once, in the order in which they first came."""
        return Stock(list(self._parts.values()))

    def know(self, paths: Iterable[str]) -> None:
        """Look at these paths and all on the way to them."""
        new = [path for path in prefixes(paths) if path not in self._found]
        if new:
            found = self._editor.look(new)
            self._found.update({path: found.get(path) for path in new})

    def real(self, path: str, *, follows_last: bool = True) -> str:
        """Return a path with the links followed, in this file system. Raises StalkerError for a circle."""
        self.know([path])
        asked = path + _BELOW if follows_last else path
        while True:
            links = {
                one: found.target if found and found.kind == "link" else None
                for one, found in self._found.items()
            }
            result, unknown = followed(asked, links)
            if result:
                return (result.removesuffix(_BELOW) or "/") if follows_last else result
            self.know(unknown)

    def find(self, path: str) -> Found | None:
        """Return what a path leads to, None where that is nothing."""
        real = self.real(path)
        self.know([real])
        return self._found[real]

    def at(self, path: str) -> Found | None:
        """Return what is at a path itself, a link as a link."""
        real = self.real(path, follows_last=False)
        self.know([real])
        return self._found[real]

    def other_spelling(self, real: str) -> str:
        """Return what is going to be put and is this path in other letters, on a FAT; empty where nothing is."""
        if not isinstance(self._editor, FatEditor):
            return ""
        same = fold_path(real)
        return next((path for path in self._parts if path != real and fold_path(path) == same), "")

    def first_file(self, paths: Sequence[str]) -> str:
        """Return the first of these paths that leads to a file, empty when none does."""
        self.know(paths)
        for path in paths:
            found = self.find(path)
            if found is not None and found.kind == "file":
                return path
        return ""

    def read(self, path: str) -> bytes | None:
        """Return the content of the file that a path leads to, None where there is none."""
        found = self.find(path)
        if found is None or found.kind != "file":
            return None
        real = self.real(path)
        if real not in self._content:
            self._content[real] = self._editor.read(real)
        return self._content[real]

    def write(self, path: str, content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Give a file this content; one that is there keeps mode and owner, a link to it stays.

        Raises:
            StalkerError: what is there is no file.
        """
        real = self.real(path)
        found = self.find(path)
        if found is not None:
            if found.kind != "file":
                raise StalkerError(
                    f"{path} is not a file in the image", f"it is a {_word(found)}", "take another base"
                )
            mode, uid, gid = found.mode, found.uid, found.gid
        self.place(real, content, mode=mode, uid=uid, gid=gid)

    def place(self, real: str, content: bytes, *, mode: int, uid: int, gid: int) -> None:
        """Put a file at a path that has no links on its way, whatever file or link is there."""
        entry = Entry(real, "file", len(content), mode, uid, gid, self._mtime_s)
        self._put(Bytes(entry, content), content)

    def copy(self, real: str, source: Path, *, mode: int, uid: int, gid: int) -> None:
        """Put a file of this host, as `place`."""
        entry = Entry(real, "file", source.stat().st_size, mode, uid, gid, self._mtime_s)
        self._put(Copied(entry, source), None)

    def folder(self, path: str, *, mode: int, uid: int, gid: int) -> bool:
        """Make a directory and return True, unless one is there, which stays as it is.

        Raises:
            StalkerError: something else is there.
        """
        found = self.find(path)
        if found is not None:
            if found.kind != "folder":
                raise StalkerError(
                    f"{path} is not a folder in the image", f"it is a {_word(found)}", "take another path"
                )
            return False
        self._put(Bytes(Entry(self.real(path), "folder", 0, mode, uid, gid, self._mtime_s), b""), None)
        return True

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link of root's."""
        real = self.real(path, follows_last=False)
        self._put(Bytes(Entry(real, "link", 0, 0o777, 0, 0, self._mtime_s, target), b""), None)

    def _put(self, part: Bytes | Copied, content: bytes | None) -> None:
        entry = part.entry
        self._parts[entry.path] = part
        # The directories on its way are made with it.
        for above in prefixes([entry.path]):
            if self._found.get(above) is None:
                self._found[above] = Found("folder")
        self._found[entry.path] = Found(
            entry.kind, entry.size_bytes, entry.mode, entry.uid, entry.gid, entry.target
        )
        self._content.pop(entry.path, None)
        if content is not None:
            self._content[entry.path] = content


def _word(found: Found) -> str:
    return {"other": "device, a pipe or a socket"}.get(found.kind, found.kind)
