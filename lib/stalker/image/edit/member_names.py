"""Names in an archive: which can be taken, and where links of one lead."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from stalker.image.patterns import path_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    """Yield the folders that a path is in, the nearest first."""
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
    """Return how a link leaves the folder, followed through the other links of the archive."""
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
    """Return a name as it stands on a disk."""
    return name.encode("utf-8", "surrogateescape")
