"""Paths of an ext4: what it can hold, and where they lead through its links; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stalker.formats.fs.entry import Entry

NAME_BYTES, PATH_BYTES = 255, 4095
HOPS = 40
"""How many links the kernel follows on the way of a path."""
BREAKS = frozenset(b"\n\r\0")
"""What no name has: an entry of a directory could, but every list of paths would break."""
XATTR_BLOCK_HEAD_BYTES, XATTR_ENTRY_BYTES = 36, 16


def path_bytes(path: str) -> bytes:
    """Return a path as it is on the disk."""
    return path.encode("utf-8", "surrogateescape")


def plain(text: bytes) -> str:
    """Return a path without what a terminal would obey."""
    shown = text.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def prefixes(paths: Iterable[str]) -> list[str]:
    """Return these paths and all directories on their way, each once, directories first."""
    found = {"/": None}
    for path in paths:
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            found["/".join(parts[:end])] = None
    found.pop("", None)
    return sorted(found, key=lambda path: path.count("/") if path != "/" else 0)


def check_path(path: str) -> None:
    """Raise StalkerError for a path that cannot be on an ext4."""
    data = path_bytes(path)
    problem = ""
    if not path.startswith("/") or (path != "/" and {"", ".", ".."} & set(path[1:].split("/"))):
        problem = "it is not an absolute path without '.' and '..'"
    elif BREAKS & set(data):
        problem = "it has a line break or a NUL in it"
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
        problem = "its size is negative"
    elif entry.kind == "link":
        target = path_bytes(entry.target)
        if not target or BREAKS & set(target) or len(target) >= min(block_bytes, PATH_BYTES + 1):
            problem = "the target of the link is empty, too long or has a line break"
    elif entry.kind == "hardlink":
        check_path(entry.target)
    problem = _attribute_problem(entry, block_bytes) or problem
    if problem:
        raise refused(entry.path, problem, "leave it out")


def refused(path: str, why: str, resolution: str = "give it another path") -> StalkerError:
    """Return the error of an entry that cannot be put."""
    return StalkerError(
        f"{plain(path_bytes(path))} cannot be put into the file system", plain(path_bytes(why)), resolution
    )


def followed(path: str, links: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Return a path with the links on its way followed, or else the paths that have to be looked at first.

    `links` maps what was looked at to the target of its link, None for what is not a link. Nothing leads out of
    the root. Raises StalkerError when links lead in circles.
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
                f"links lead in circles on the way to {plain(path_bytes(path))}", "", "repair them"
            )
        if target.startswith("/"):
            done = []
        todo += target.split("/")[::-1]
    return "/" + "/".join(done), []


def _attribute_problem(entry: Entry, block_bytes: int) -> str:
    room = block_bytes - XATTR_BLOCK_HEAD_BYTES
    for name, value in entry.xattrs:
        room -= XATTR_ENTRY_BYTES + -(-len(name) // 4) * 4 + -(-len(value) // 4) * 4
        if not name or len(name) > NAME_BYTES or BREAKS & set(name):
            return f"its extended attribute {plain(name)!r} has an invalid name"
    return f"its extended attributes do not fit into a block of {block_bytes} bytes" if room < 0 else ""


def _ahead(here: str, todo: Sequence[str]) -> Iterator[str]:
    """Yield a path and those that come next if it is not a link: one look instead of many."""
    yield here
    for part in todo[:0:-1]:
        if part in {"", ".", ".."}:
            return
        here = f"{here}/{part}"
        yield here
