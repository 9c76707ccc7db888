"""Patterns over the paths of an image, as tree files write them: `/lib/modules/**`, `/boot/vmlinuz*`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NAME, _MANY = rb"[^/]*", rb".*"
_WORD = re.compile(rb"\*\*|\*|\?|[^*?]+")
_MEANING = {b"**": _MANY, b"*": _NAME, b"?": rb"[^/]"}


def matcher(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Return a function that says whether a path (without a leading slash) or a folder above it matches.

    `*` stands for what is in one name, `**` for any number of folders, `?` for one character. All other
    characters stand for themselves.
    """
    if not patterns:
        return lambda _path: False
    every = b"|".join(_expression(pattern) for pattern in patterns)
    match = re.compile(rb"(?:" + every + rb")(?:/.*)?\Z", re.DOTALL).match
    return lambda path: match(path) is not None


def _expression(pattern: str) -> bytes:
    text = path_bytes(pattern) or b"**"
    # `a/**/b` is `a/b` too.
    parts = [_words(part) for part in re.split(rb"(?:\A|(?<=/))\*\*/", text)]
    return rb"(?:.*/)?".join(parts)


def _words(text: bytes) -> bytes:
    return b"".join(_MEANING.get(word) or re.escape(word) for word in _WORD.findall(text))


def path_bytes(path: str) -> bytes:
    """Return an absolute path as a tar has it: bytes, without a slash at either end."""
    return path.strip("/").encode("utf-8", "surrogateescape")


def path_text(path: bytes) -> str:
    """Return a path of a tar for people: absolute, without what a terminal would obey."""
    text = path.decode("utf-8", "replace")
    return "/" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
