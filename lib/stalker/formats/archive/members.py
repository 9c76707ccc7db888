"""The members of an archive, checked one by one: what would leave its directory, or not be a file there, is reported.

Nothing is read of them but what their headers say. A name is refused, never corrected: the author of the archive
meant something else than what would come of it.

Names in an archive: which can be taken, and where links of one lead.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.fs.entry import Entry, Kind
from stalker.io.units import size_text
from stalker.model.escaping import path_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


LATEST_S = (1 << 34) - (1 << 31) - 1
"""No ext4 can say a later time."""

OWNER_MAX = (1 << 32) - 2
MEMBERS_MAX = 4_000_000
XATTRS_MAX_BYTES = 1 << 16
NAMES_MAX_BYTES = 1 << 29
"""Of all names, directories and attributes together: what is kept in memory of an archive."""

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Member(Entry):
    """An entry and its place in the archive, counted from 0."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Raw:
    """A member as its archive tells of it: nothing of it is believed yet.

    `target` of a hard link is a name in the archive. `other` is what it is in words where it is none of ours.
    """

    name: str
    kind: Kind
    number: int
    size_bytes: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    target: str = ""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    other: str = ""


class Gathering:
    """Takes members in the order of an archive, and gives entries below `to`.

    `notices` collects what the reader of a log should know of what was taken.
    """

    def __init__(self, called: str, to: str, max_bytes: int | None, notices: list[str]) -> None:
        self._called = called
        self._to = to.rstrip("/")
        self._max_bytes = max_bytes
        self._notices = notices
        self._kept: dict[str, Member] = {}
        self._above: set[str] = set()
        """Folders that have something below them."""
        self._linked: set[str] = set()
        """Paths that a hard link names."""
        self._problems: list[str] = []
        self._bytes = 0
        self._count = 0
        self._kept_bytes = 0

    def refuse(self, name: str, why: str) -> None:
        """Note why a member cannot be taken."""
        self._problems.append(f"{shown(name)}: {why}")

    def notice(self, text: str) -> None:
        """Note what the reader of a log should know of the archive."""
        self._notices.append(f"{self._called}: {text}")

    def add(self, raw: Raw) -> None:
        """Take a member, or note why it cannot be taken.

        Raises:
            InputError: there is more than may be, which is reported at once.
        """
        self._count += 1
        self._bytes += raw.size_bytes
        if self._max_bytes is not None and self._bytes > self._max_bytes:
            raise InputError(
                f"{self._called} holds more than {size_text(self._max_bytes)}",
                f"with {shown(raw.name)} it is {size_text(self._bytes)}",
                "make the image larger, or take less of it",
            )
        if self._count > MEMBERS_MAX or self._kept_bytes > NAMES_MAX_BYTES:
            raise InputError(
                f"{self._called} holds too many files",
                f"{self._count} of them; names and attributes may take {size_text(NAMES_MAX_BYTES)}",
                "make several archives of it",
            )
        why = self._taken(raw)
        if why:
            self.refuse(raw.name, why)

    def entries(self) -> list[Entry]:
        """Return what was taken: directories first, those above before those below, then the rest in order.

        So a directory has its own mode, wherever it stood in the archive.

        Raises:
            InputError: members cannot be taken; all of them are reported.
        """
        links = {path: one.target for path, one in self._kept.items() if one.kind == "link"}
        for path, target in links.items():
            why = leads_out(path, target, links)
            if why:
                self.refuse(path, f"it is a link to {shown(target)}, {why}")
        if self._problems:
            count = len(self._problems)
            more = [f"and {count - SHOWN} more"] if count > SHOWN else []
            raise InputError(
                f"{self._called} has {count} member{'s' if count > 1 else ''} that cannot be unpacked",
                "\n".join(self._problems[:SHOWN] + more),
                "make the archive again without them",
            )
        for path, one in sorted(self._kept.items()):
            self._notice(path, one)
        folders = [self._kept[path] for path in sorted(self._kept) if self._kept[path].kind == "folder"]
        return [*folders, *(one for one in self._kept.values() if one.kind != "folder")]

    def _taken(self, raw: Raw) -> str:
        """Take a member and return an empty string, or why it is not taken."""
        path, why = path_of(raw.name)
        if why:
            return why
        if raw.kind == "other":
            return f"it is {raw.other}"
        if not path and raw.kind != "folder":
            return "it has no name"
        place = f"{self._to}/{path}" if path else self._to
        if len(name_bytes(place)) > PATH_MAX:
            return f"its path is longer than {PATH_MAX} bytes"
        if not path and not place:
            return ""  # The top of a file system is what it is.
        for above in folders_above(path):
            found = self._kept.get(above)
            if found is not None and found.kind != "folder":
                return f"it stands below the {_word(found.kind)} {shown(above)}"
        before = self._kept.get(path)
        if raw.kind != "folder" and ((before and before.kind == "folder") or path in self._above):
            return "it is not a folder, and a folder of the archive stands there"
        if raw.kind == "folder" and before and before.kind != "folder":
            return "it is a folder, and a file of the archive stands there"
        if path in self._linked and raw.kind != "folder":
            return "it is there twice, and a hard link names the first"
        made = self._made(raw, path, place)
        if isinstance(made, str):
            return made
        if before is not None and made.kind != "folder":
            del self._kept[path]  # The last one wins, and is where it stood.
        self._kept[path] = made
        if made.kind == "hardlink":
            self._linked.add(made.target[len(self._to) + 1 :])
        for above in folders_above(path):
            if above in self._above:
                break
            self._above.add(above)
            self._kept_bytes += len(above)
        self._kept_bytes += len(place) + len(made.target) + _size(made.xattrs)
        return ""

    def _made(self, raw: Raw, path: str, place: str) -> Member | str:
        for owner in (raw.uid, raw.gid):
            if not 0 <= owner <= OWNER_MAX:
                return f"its owner has the number {owner}"
        mtime_s = min(max(raw.mtime_s, 0), LATEST_S)
        mode, kind, size, target = raw.mode & 0o7777, raw.kind, raw.size_bytes, ""
        uid, gid, xattrs = raw.uid, raw.gid, raw.xattrs
        if _size(xattrs) > XATTRS_MAX_BYTES:
            return f"its attributes take more than {size_text(XATTRS_MAX_BYTES)}"
        if kind == "link":
            why = cannot_be_said(raw.target)
            if why:
                return why
            target = raw.target
        elif kind == "hardlink":
            first = self._first(raw.target, path)
            if isinstance(first, str):
                return first
            # A link is copied: two names of one file and two files look the same.
            kind, target = first.kind, first.target
            if first.kind == "file":
                kind, target = "hardlink", first.path
            mode, uid, gid, mtime_s, xattrs = first.mode, first.uid, first.gid, first.mtime_s, first.xattrs
            size = 0
        return Member(place, kind, size, mode, uid, gid, mtime_s, target, xattrs, raw.number)

    def _first(self, name: str, own: str) -> Member | str:
        """Return what a hard link names, or why it cannot."""
        path, why = path_of(name)
        if why:
            return f"it is a hard link to {shown(name)}: {why}"
        found = self._kept.get(path)
        if found is None or path == own:
            return f"it is a hard link to {shown(name)}, and no such file is before it"
        if found.kind == "folder":
            return f"it is a hard link to {shown(name)}, and that is a folder"
        return found

    def _notice(self, path: str, one: Member) -> None:
        bits = [word for bit, word in ((0o4000, "setuid"), (0o2000, "setgid")) if one.mode & bit]
        if one.kind == "file" and bits:
            self._notices.append(f"{shown(path)} is {' and '.join(bits)}, of user {one.uid}, group {one.gid}")
        if any(name == b"security.capability" for name, _ in one.xattrs) and one.kind == "file":
            self._notices.append(f"{shown(path)} has capabilities")


def _size(xattrs: tuple[tuple[bytes, bytes], ...]) -> int:
    return sum(len(name) + len(value) for name, value in xattrs)


def _word(kind: Kind) -> str:
    return "link" if kind == "link" else "file"


NAME_MAX = 255
LINKS_MAX, STEPS_MAX = 40, 4096
CONTROL = {"\0": "a NUL", "\n": "a line feed", "\r": "a carriage return", "\t": "a tab", "\x1b": "an escape"}
PATH_MAX = 4095


def shown(name: str) -> str:
    """Return a name for people, without what a terminal would obey."""
    return path_text(name_bytes(name))[1:]


def path_of(name: str) -> tuple[str, str]:
    """Return a name's parts joined by single slashes, and why it cannot be taken."""
    if not name:
        return "", "it has no name"
    if name.startswith("/"):
        return "", "its name is absolute"
    control = _control(name)
    if control:
        return "", f"its name holds {control}"
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        return "", "its name leads out of the folder by '..'"
    if any(len(name_bytes(part)) > NAME_MAX for part in parts):
        return "", f"a part of its name is longer than {NAME_MAX} bytes"
    return "/".join(parts), ""


def folders_above(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, the nearest first."""
    above = path.rpartition("/")[0]
    while above:
        yield above
        above = above.rpartition("/")[0]


def _control(name: str) -> str:
    """Return what a name holds that no name should, in words."""
    for letter in "" if name.isprintable() else name:
        if unicodedata.category(letter) == "Cc":
            return CONTROL.get(letter) or f"the control character U+{ord(letter):04X}"
    return ""


def cannot_be_said(target: str) -> str:
    """Return why this cannot be the text of a link."""
    if not target:
        return "it is a link that says nothing"
    if _control(target):
        return f"it is a link to {shown(target)}, which holds {_control(target)}"
    return f"it is a link to more than {PATH_MAX} bytes" if len(name_bytes(target)) > PATH_MAX else ""


def leads_out(path: str, target: str, links: Mapping[str, str]) -> str:
    """Return how a link leaves the directory, followed through the other links of the archive."""
    if target.startswith("/"):
        return "which is absolute"
    at = path.split("/")[:-1]
    # What is left to go, the next part last.
    left = target.split("/")[::-1]
    followed = steps = 0
    while left:
        part = left.pop()
        steps += 1
        if part in {"", "."}:
            continue
        if part == "..":
            if not at:
                return "which leads out of the folder"
            at.pop()
            continue
        further = links.get("/".join([*at, part]))
        if further is None:
            at.append(part)
            continue
        followed += 1
        if further.startswith("/"):
            return "which leads out of the folder"
        if followed > LINKS_MAX or steps > STEPS_MAX:
            return "which leads through too many links"
        left += further.split("/")[::-1]
    return ""


def name_bytes(name: str) -> bytes:
    """Return a name as it is on a disk."""
    return name.encode("utf-8", "surrogateescape")
