"""What has to be done in an ext4 so that entries stand in it: pure, and refused as a whole or not at all.

Entries are played through in memory first. So what a later entry replaces is never made, and whatever
cannot be is found before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.image.edit.entries import Entry
from stalker.image.edit.ext4_script import BREAKS, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stalker.image.edit.ext4_script import Inode

NAME_BYTES, PATH_BYTES, LINKS = 255, 4095, 65000
FOLDER_MODE = 0o755
HOPS = 40
"""How many links the kernel follows on the way of a path."""
XATTR_BLOCK_HEAD_BYTES, XATTR_ENTRY_BYTES = 36, 16


@dataclass(slots=True, eq=False)
class New:
    """An inode to be made, and its names; `is_implied` is a folder that only stands on the way of others."""

    entry: Entry
    names: list[str]
    is_implied: bool = False


@dataclass(slots=True, eq=False)
class Old:
    """An inode that is there, and the names that it gets and loses."""

    inode: Inode
    gained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def links(self) -> int:
        """How many names it has in the end."""
        return self.inode.links + len(self.gained) - len(self.lost)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done: names that go, inodes to be made in this order, inodes whose names change."""

    unlinked: tuple[str, ...]
    made: tuple[New, ...]
    changed: tuple[Old, ...]


def path_bytes(path: str) -> bytes:
    """Return a path as it stands on the disk."""
    return path.encode("utf-8", "surrogateescape")


def prefixes(paths: Iterable[str]) -> list[str]:
    """Return these paths and all folders on their way, each once, folders first."""
    found = {"/": None}
    for path in paths:
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            found["/".join(parts[:end])] = None
    found.pop("", None)
    return sorted(found, key=lambda path: path.count("/") if path != "/" else 0)


def check_path(path: str) -> None:
    """Raise StalkerError for a path that cannot be on an ext4, or that no tool can be told."""
    data = path_bytes(path)
    problem = ""
    if not path.startswith("/") or (path != "/" and {"", ".", ".."} & set(path[1:].split("/"))):
        problem = "it is no absolute path without '.' and '..'"
    elif BREAKS & set(data):
        problem = "it has a line break in it, which no tool can be told"
    elif len(data) > PATH_BYTES:
        problem = f"it is longer than {PATH_BYTES} bytes"
    elif max(map(len, data.split(b"/"))) > NAME_BYTES:
        problem = f"a name in it is longer than {NAME_BYTES} bytes"
    if problem:
        raise StalkerError(f"{plain(data[:200])} cannot be put into the file system", problem, "rename it")


def check_entry(entry: Entry, block_bytes: int) -> None:
    """Raise StalkerError for an entry that cannot be on an ext4."""
    check_path(entry.path)
    problem = ""
    if entry.kind == "other":
        problem = "devices, pipes and sockets are not put into images"
    elif not (0 <= entry.uid < 1 << 32 and 0 <= entry.gid < 1 << 32 and 0 <= entry.mode < 1 << 12):
        problem = "its owner, group or mode is out of range"
    elif entry.size_bytes < 0:
        problem = "its size is below nothing"
    elif entry.kind == "link":
        target = path_bytes(entry.target)
        if not target or BREAKS & set(target) or len(target) >= min(block_bytes, PATH_BYTES + 1):
            problem = "what the link says is empty, too long or has a line break"
    elif entry.kind == "hardlink":
        check_path(entry.target)
    room = block_bytes - XATTR_BLOCK_HEAD_BYTES
    for name, value in entry.xattrs:
        room -= XATTR_ENTRY_BYTES + -(-len(name) // 4) * 4 + -(-len(value) // 4) * 4
        if not name or len(name) > NAME_BYTES or BREAKS & set(name) or name.startswith(b"-"):
            problem = f"its extended attribute {plain(name)!r} has a name that no tool can be told"
    if room < 0:
        problem = f"its extended attributes do not fit into a block of {block_bytes} bytes"
    if problem:
        raise StalkerError(
            f"{plain(path_bytes(entry.path))} cannot be put into the file system", problem, "leave it out"
        )


def plan(entries: Sequence[Entry], there: Mapping[str, Inode], mtime_s: int) -> Plan:
    """Return what has to be done.

    `there` is what stands at the prefixes of all paths and targets; what lies behind a link or a file is not
    in it. Folders that are missing get `mtime_s`.

    Raises:
        StalkerError: a path leads through what is no folder, or something cannot come where a folder stands.
    """
    stage = _Stage(there)
    for entry in entries:
        for parent in prefixes([entry.path])[1:-1]:
            here = stage.at(parent)
            if here is None:
                stage.make(Entry(parent, "folder", mode=FOLDER_MODE, mtime_s=mtime_s), is_implied=True)
            elif (kind := _kind(here)) != "folder":
                raise _refused(entry.path, f"{parent} on its way is a {kind}, not a folder")
        stage.put(entry)
    return stage.plan()


class _Stage:
    """The part of a file system that is looked at, as it is after the entries so far."""

    def __init__(self, there: Mapping[str, Inode]) -> None:
        self._there = there
        self._olds: dict[int, Old] = {}
        self._now: dict[str, New | Old] = {}
        self._made: list[New] = []
        self._subfolders: dict[str, int] = {}

    def at(self, path: str) -> New | Old | None:
        if path in self._now:
            return self._now[path]
        inode = self._there.get(path)
        return None if inode is None else self._olds.setdefault(inode.number, Old(inode))

    def make(self, entry: Entry, *, is_implied: bool = False) -> None:
        self._now[entry.path] = New(entry, [entry.path], is_implied)
        self._made.append(self._now[entry.path])  # type: ignore[arg-type]
        if entry.kind == "folder":
            above = entry.path.rpartition("/")[0] or "/"
            self._subfolders[above] = self._subfolders.get(above, 0) + 1
            links = self._there[above].links if above in self._there else 2
            if links + self._subfolders[above] > LINKS:
                raise _refused(entry.path, f"{above} has {LINKS - 2} folders, which is all it can hold")

    def put(self, entry: Entry) -> None:
        here = self.at(entry.path)
        if here is not None and _kind(here) == "folder":
            if entry.kind != "folder":
                raise _refused(entry.path, "a folder stands there")
            if isinstance(here, New) and here.is_implied:
                here.entry, here.is_implied = entry, False
            return
        if entry.kind != "hardlink":
            self._release(entry.path, here)
            self.make(entry)
            return
        target = self.at(entry.target)
        if target is None or _kind(target) == "folder":
            raise _refused(entry.path, f"{entry.target}, whose other name it is, is no file that is there")
        if target is here:
            return
        names = target.names if isinstance(target, New) else target.gained
        links = len(names) if isinstance(target, New) else target.links
        if links >= LINKS:
            raise _refused(entry.path, f"{entry.target} has {LINKS} names, which is all it can have")
        self._release(entry.path, here)
        names.append(entry.path)
        self._now[entry.path] = target

    def plan(self) -> Plan:
        made = tuple(one for one in self._made if one.names)
        for one in made:
            if one.entry.path not in one.names:
                raise _refused(one.entry.path, f"it comes twice, and {one.names[0]} is a name of the first")
        olds = [one for one in self._olds.values() if one.gained or one.lost]
        return Plan(tuple(path for one in olds for path in one.lost), made, tuple(olds))

    def _release(self, path: str, here: New | Old | None) -> None:
        """Take a name from what has it."""
        match here:
            case New():
                here.names.remove(path)
            case Old() if path in here.gained:
                here.gained.remove(path)
            case Old():
                here.lost.append(path)


def followed(path: str, links: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Return a path with the links on its way followed, or else the paths that have to be looked at first.

    `links` maps what was looked at to what its link says, None for what is no link. Nothing leads out of the
    root. Raises StalkerError when links lead in circles.
    """
    todo = path.split("/")[::-1]
    done: list[str] = []
    hops = 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del done[-1:]
            continue
        here = "/".join(["", *done, part])
        if not todo:
            return here, []
        if here not in links:
            return "", list(_ahead(here, todo))
        target = links[here]
        if target is None:
            done.append(part)
            continue
        hops += 1
        if hops > HOPS:
            raise StalkerError(
                f"links lead in circles on the way to {plain(path_bytes(path))}", "", "mend them"
            )
        if target.startswith("/"):
            done = []
        todo += target.split("/")[::-1]
    return "/" + "/".join(done), []


def _ahead(here: str, todo: Sequence[str]) -> Iterator[str]:
    """Yield a path and those that come next if it is no link: one look instead of many."""
    yield here
    for part in todo[:0:-1]:
        if part in {"", ".", ".."}:
            return
        here = f"{here}/{part}"
        yield here


def _kind(node: New | Old) -> str:
    return node.entry.kind if isinstance(node, New) else node.inode.kind


def _refused(path: str, why: str) -> StalkerError:
    return StalkerError(
        f"{plain(path_bytes(path))} cannot be put into the file system",
        plain(path_bytes(why)),
        "give it another path",
    )
