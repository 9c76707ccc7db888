"""Which steps made a path what it is: the states of a chain compared, each with the one before.

A step touched a path when its kind, mode, owner, target, attributes or content differ before and after. A file
that was only written again, with the same content, is a touch of its own kind.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.errors import PlanError
from stalker.rootfs.diff import Change, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.history.chain import State
    from stalker.history.layers import Listing, Seen

Letter = Literal["A", "C", "D", "="]
"""Added, changed, deleted; `=` is written again with the same content."""

LINES_MAX_BYTES = 4 << 20

HIDDEN = "***"
_HAS_HASHES = {"/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-"}
"""Files whose second field is a password's hash: it is never shown."""


@dataclass(frozen=True, slots=True)
class Touch:
    """What the step of a state did to one path. `notes` name what else than the content changed."""

    letter: Letter
    path: str
    state: State
    before: Seen | None
    after: Seen | None
    notes: tuple[str, ...] = ()


def touches(path: str, states: Sequence[State], sights: Sequence[Seen | None]) -> list[Touch]:
    """Return what was done to one path, the oldest first; `sights` are what each state has there."""
    found = []
    before: Seen | None = None
    for state, after in zip(states, sights, strict=True):
        touch = _touch(path, state, before, after)
        if touch is not None:
            found.append(touch)
        before = after
    return found


def last_touches(
    states: Sequence[State], listings: Sequence[Listing], *, with_rewritten: bool = False
) -> list[Touch]:
    """Return for each path what touched it last, deleted ones too; sorted by path."""
    found: dict[bytes, Touch] = {}
    before: Listing = {}
    for state, after in zip(states, listings, strict=True):
        for name in before.keys() | after.keys():
            old, new = before.get(name), after.get(name)
            if old is new:
                continue
            path = "/" + name.decode("utf-8", "surrogateescape")
            touch = _touch(path, state, old, new)
            if touch is not None and (with_rewritten or touch.letter != "="):
                found[name] = touch
        before = after
    return [touch for _, touch in sorted(found.items())]


def _touch(path: str, state: State, before: Seen | None, after: Seen | None) -> Touch | None:
    if before is None and after is None:
        return None
    if before is None or after is None:
        return Touch("A" if before is None else "D", path, state, before, after)
    if before.entry != after.entry:
        notes = change_of(path, before, after).notes
        return Touch("C", path, state, before, after, notes)
    if before.mtime_s != after.mtime_s and after.entry.kind == "file":
        return Touch("=", path, state, before, after)
    return None


def change_of(path: str, before: Seen, after: Seen) -> Change:
    """Return how two entries of one path differ, as `diff` shows it."""
    name = path.lstrip("/").encode("utf-8", "surrogateescape")
    return compare({name: before.entry}, {name: after.entry})[0]


# Lines


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file's last content, and the state whose step brought it."""

    text: str
    state: State


def lines_of(path: str, states: Sequence[State], contents: Sequence[bytes | None]) -> list[Line]:
    """Return the lines of a file with the step that brought each. Raises PlanError for what has no lines.

    `contents` are those of each state, None where it has no file there. A line that moved counts as brought by the
    step that moved it, as in git.
    """
    last = contents[-1] if contents else None
    if last is None:
        raise PlanError(f"{path} is not a file in the last state", "", "leave out --lines")
    if b"\0" in last or len(last) > LINES_MAX_BYTES:
        raise PlanError(f"{path} is not a text that has lines", "", "leave out --lines")
    known: list[Line] = []
    previous: bytes | None = None
    for state, content in zip(states, contents, strict=True):
        if content != previous:
            known = _carried(known, (content or b"").decode("utf-8", "surrogateescape").splitlines(), state)
        previous = content
    return [Line(_shown(path, line.text), line.state) for line in known]


def _carried(old: list[Line], new: list[str], state: State) -> list[Line]:
    """Return the lines of a new content; those that were there keep their state."""
    found: list[Line] = []
    matcher = difflib.SequenceMatcher(None, [line.text for line in old], new, autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            found += old[start:end]
        else:
            found += [Line(text, state) for text in new[new_start:new_end]]
    return found


def _shown(path: str, line: str) -> str:
    if path not in _HAS_HASHES:
        return line
    fields = line.split(":")
    if len(fields) > 1 and fields[1] not in {"", "*", "!", "!!", "x"}:
        fields[1] = HIDDEN
    return ":".join(fields)
