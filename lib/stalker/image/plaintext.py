"""The plain text of a console: no escape sequences, one kind of line end, kernel messages told apart."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

Span = tuple[int, int]

_ESCAPE = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # cursor, colours
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and other strings
    r"|[ -/]+[0-~]"  # character sets
    r"|[0-OQ-WYZ\\`-~])"
)
_UNENDED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_LONGEST = 4096
"""An escape sequence that is longer is none."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_KERNEL = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])?(?: [^\n]*)?\n")
"""A kernel message, wherever in a line it begins."""


class PlainText:
    """Turns a console's bytes into plain text; they may be cut anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> str:
        """Return the text of what came, but for the beginning of an escape sequence."""
        text = self._held + self._decoder.decode(data)
        text = _ESCAPE.sub("", text)
        self._held = ""
        unended = _UNENDED.search(text)
        if unended and len(unended[0]) <= _LONGEST:
            self._held = unended[0]
            text = text[: unended.start()]
        return _CONTROL.sub("", text)


def kernel_messages(text: str) -> list[Span]:
    """Return where the whole kernel messages of a text stand."""
    return [found.span() for found in _KERNEL.finditer(text)]


def without(spans: Sequence[Span], text: str) -> str:
    """Return a text without some parts of it."""
    parts = []
    at = 0
    for start, end in spans:
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]])


def position_in(spans: Sequence[Span], position: int) -> int:
    """Return where in the whole text a position of what `without` left is: before a part that it touches."""
    for start, end in spans:
        if position <= start:
            break
        position += end - start
    return position
