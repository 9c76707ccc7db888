"""Versions of packages in the order in which dpkg has them, and requirements like `NAME>=VERSION`.

Source: deb-version(7). Versions of apk, Portage and pacman are in this order too wherever they are made of the
numbers and letters that are usual.
"""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass

from stalker.errors import PlanError

OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.+/:-]*?)\s*(?:(>=|<=|==|=|>|<)\s*((?!=)\S+))?\s*")
_PIECES = re.compile(r"(\D*)(\d*)")


@functools.total_ordering
class DebVersion:
    """A version that compares as dpkg compares it."""

    __slots__ = ("_key",)

    def __init__(self, text: str) -> None:
        """Split into epoch, upstream version and revision."""
        epoch, colon, rest = text.partition(":")
        if not (colon and epoch.isdigit()):
            epoch, rest = "0", text
        upstream, dash, revision = rest.rpartition("-")
        self._key = (int(epoch), _key(upstream if dash else rest), _key(revision if dash else ""))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebVersion) and self._key == other._key

    def __lt__(self, other: DebVersion) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _key(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Return pieces of letters and numbers in turn: `~` before the end, the end before letters, these before others."""
    pieces = [(words, digits) for words, digits in _PIECES.findall(text) if words or digits]
    key = [((*map(_rank, words), 0), int(digits or 0)) for words, digits in pieces]
    # Nothing equals 0, which only a text that is 0 alone begins and ends with.
    return (*(key if key != [_END] else ()), _END, _END)


_END = ((0,), 0)


def _rank(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package, and which versions of it count; `operator` is empty where any does."""

    name: str
    operator: str = ""
    version: str = ""

    def is_met(self, versions: dict[str, str]) -> bool:
        """Return whether installed packages (name -> version) meet it."""
        found = versions.get(self.name)
        if found is None or not self.operator:
            return found is not None
        met: bool = OPERATORS[self.operator](DebVersion(found), DebVersion(self.version))
        return met


def parse_requirement(text: str) -> Requirement:
    """Read `NAME`, `NAME>=1.2`, `NAME=1.2-3`, `NAME<2`. Raises PlanError."""
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise PlanError(f"--package {text}: not a package", "", "write NAME, or NAME>=VERSION in quotes")
    return Requirement(match[1], match[2] or "", match[3] or "")
