"""Output of programs as HTML: text escaped, colours as classes, all other control sequences left out."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b.?", re.DOTALL
)
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def to_html(text: str) -> Markup:
    """Return text with its colours; a carriage return begins the line again, as in a terminal."""
    parts: list[str] = []
    classes: dict[str, str] = {}
    at = 0
    text = re.sub(r"[^\n]*\r(?!\n)", "", text.replace("\r\n", "\n"))
    for match in _SEQUENCE.finditer(text):
        parts.append(_span(text[at : match.start()], classes))
        at = match.end()
        if match[1] is not None:
            classes = _after(match[1], classes)
    parts.append(_span(text[at:], classes))
    return Markup("".join(parts))  # noqa: S704 - every part is escaped


def _span(text: str, classes: dict[str, str]) -> str:
    if not text:
        return ""
    safe = str(escape(_UNSAFE.sub("\ufffd", text)))
    return f'<span class="{" ".join(classes.values())}">{safe}</span>' if classes else safe


def _after(codes: str, classes: dict[str, str]) -> dict[str, str]:
    """Return the classes after a sequence of Select Graphic Rendition; what has no class changes nothing."""
    found = dict(classes)
    numbers = [int(code) if code.isdigit() else 0 for code in re.split("[;:]", codes)]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            found = {}
        elif number == 1:
            found["weight"] = "bold"
        elif number == 22:
            found.pop("weight", None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            found["colour"] = f"c-{_COLOURS[number % 10]}"
        elif number == 39:
            found.pop("colour", None)
        elif number in {38, 48}:  # a colour of 256 or of 24 bits, which has no class
            del numbers[: 2 if numbers[:1] == [5] else 4]
    return found
