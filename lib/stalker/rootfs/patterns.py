"""Patterns over the paths of an image, as tree files write them, and the reasons why a path is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.errors import EngineError, StalkerError
from stalker.model.escaping import path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.formats.tar.header import Header


_NAME, _MANY = rb"[^/]*", rb".*"
_WORD = re.compile(rb"\*\*|\*|\?|[^*?]+")
_MEANING = {b"**": _MANY, b"*": _NAME, b"?": rb"[^/]"}


def matcher(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Return a function that says whether a path (without a leading slash) or a directory above it matches.

    `*` stands for what is in one name, `**` for any number of directories, `?` for one character. All other
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


FILLED_MAX_BYTES = 1 << 20
"""Marks are filled in files up to here: they are configuration."""


def check_name(path: bytes) -> None:
    """Raise EngineError for a name that no file system can have."""
    if b".." in path.split(b"/"):
        raise EngineError(
            "the image holds a name that leads out of it",
            f"{path_text(path)}: no file system has a file of that name",
            "make the base it comes from again; this export is not to be trusted",
        )


def check_can_be_filled(header: Header) -> None:
    """Raise StalkerError for what is not a plain file of a size that marks are filled in."""
    name = path_text(header.path)
    if not header.is_file or is_sparse(header):
        raise StalkerError(
            f"{name} is to be filled in, but is not a plain file of its own",
            f"it is a link to {header.link.decode('utf-8', 'replace')}" if header.link else "",
            "name the file itself",
        )
    if header.size > FILLED_MAX_BYTES:
        raise StalkerError(
            f"{name} is to be filled in, and has {header.size} bytes",
            f"marks are filled in files of up to {FILLED_MAX_BYTES} bytes",
            "fill in a smaller one",
        )


def is_sparse(header: Header) -> bool:
    """Return whether the data of a member is not its content."""
    return header.kind == b"S" or any(key.startswith(b"GNU.sparse.") for key in header.records)


def cannot_write(path: bytes, details: str, resolution: str) -> StalkerError:
    """Return the error of a file that an artifact cannot write there."""
    return StalkerError(f"{path_text(path)} cannot be written into the artifact", details, resolution)
