r"""A file system in memory that is edited as those of an image: what `Editor` promises, and nothing more.

system = MemoryEditor({"/etc/hostname": "old\n", "/bin": Link("usr/bin"), "/tmp": Folder(0o1777)})
system.take(stock)
assert system.text("/etc/hostname") == "new\n"
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from stalker.card.payload import Bytes, Copied
from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry, Found, Range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.card.payload import Stock

READ_MAX = 16 << 20


def File(content="", mode=0o644, uid=0, gid=0):
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return Found("file", len(data), mode, uid, gid), data


def Folder(mode=0o755, uid=0, gid=0):
    return Found("folder", 0, mode, uid, gid), b""


def Link(target):
    return Found("link", len(target), 0o777, 0, 0, target), b""


def Device():
    return Found("other", 0, 0o666), b""


class MemoryEditor:
    """Nodes by path. `looks` counts the questions, each of which would be a run of a tool."""

    def __init__(self, nodes: Mapping[str, object] | None = None, *, free_bytes: int = 1 << 40) -> None:
        self._nodes: dict[str, tuple[Found, bytes]] = {"/": Folder()}
        self._free_bytes = free_bytes
        self._room: dict[str, tuple[Range, ...]] = {}
        self._end = 0
        self.looks = 0
        self.finished = False
        for path, node in (nodes or {}).items():
            self._make_above(path)
            self._nodes[path] = node if isinstance(node, tuple) else File(node)

    @property
    def free_bytes(self) -> int:
        return self._free_bytes

    def look(self, paths: Sequence[str]) -> Mapping[str, Found]:
        self.looks += 1
        return {path: self._nodes[path][0] for path in paths if path in self._nodes}

    def resolve(self, path: str) -> str:
        for _ in range(40):
            parts = path.split("/")[1:]
            for end in range(1, len(parts)):
                above = "/" + "/".join(parts[:end])
                node = self._nodes.get(above)
                if node is not None and node[0].kind == "link":
                    target = posixpath.join(posixpath.dirname(above), node[0].target, *parts[end:])
                    path = posixpath.normpath(target)
                    break
            else:
                return path
        raise StalkerError(f"links lead in circles on the way to {path}")

    def read(self, path: str) -> bytes:
        node = self._nodes.get(path)
        if node is None or node[0].kind != "file" or len(node[1]) > READ_MAX:
            raise StalkerError(f"{path} cannot be read")
        return node[1]

    def put(self, entries: Sequence[Entry]) -> Mapping[str, Sequence[Range]]:
        if sum(one.size_bytes for one in entries) > self._free_bytes:
            raise StalkerError("no room")
        before = dict(self._nodes)
        try:
            for entry in entries:
                self._put(entry)
        except StalkerError:
            self._nodes = before
            raise
        return {one.path: self._room[one.path] for one in entries if one.kind == "file" and one.size_bytes}

    def finish(self) -> None:
        self.finished = True

    def take(self, stock: Stock) -> None:
        """Put a stock and what is in its files."""
        self.put(stock.entries)
        for part in stock.parts:
            if isinstance(part, Bytes | Copied) and part.entry.kind == "file":
                content = part.content if isinstance(part, Bytes) else part.path.read_bytes()
                self._nodes[part.entry.path] = (self._nodes[part.entry.path][0], content)

    def found(self, path: str) -> Found:
        return self._nodes[path][0]

    def text(self, path: str) -> str:
        return self.read(path).decode("utf-8", "surrogateescape")

    @property
    def paths(self) -> set[str]:
        return set(self._nodes)

    def _put(self, entry: Entry) -> None:
        parts = entry.path.split("/")
        if entry.path != "/" and {"", ".", ".."} & set(parts[1:]):
            raise StalkerError(f"{entry.path} is not a normal path")
        self._make_above(entry.path)
        there = self._nodes.get(entry.path)
        if there is not None and there[0].kind == "folder":
            if entry.kind != "folder":
                raise StalkerError(f"{entry.path} is a folder")
            return
        if entry.kind == "hardlink":
            self._nodes[entry.path] = self._nodes[entry.target]
            return
        kept = (entry.kind, entry.size_bytes, entry.mode, entry.uid, entry.gid, entry.target)
        self._nodes[entry.path] = Found(*kept), bytes(entry.size_bytes)
        self._room[entry.path] = (Range(self._end, entry.size_bytes),)
        self._end += entry.size_bytes

    def _make_above(self, path: str) -> None:
        above = posixpath.dirname(path)
        if above != path:
            self._make_above(above)
            if self._nodes.setdefault(above, Folder())[0].kind != "folder":
                raise StalkerError(f"{path} leads through {above}, which is not a folder")


class MemoryEditors:
    """The file systems of an image by their names; two names may be those of one."""

    def __init__(self, **editors: MemoryEditor) -> None:
        self._editors = {name.removeprefix("number_"): editor for name, editor in editors.items()}

    def has(self, name: str) -> bool:
        return name in self._editors

    def of(self, name: str) -> MemoryEditor:
        if name not in self._editors:
            raise StalkerError(f"the image has no partition '{name}'")
        return self._editors[name]

    def take(self, injected) -> None:
        """Put all that an injection gives."""
        for editor, stock in injected.stocks:
            editor.take(stock)
