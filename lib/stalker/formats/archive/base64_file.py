"""A file in base64, decoded as a stream: RFC 4648 with lines of any length."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.archive.streams import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPACE = b" \t\r\n\v\f"


def decoded(path: Path, called: str) -> Iterator[bytes]:
    """Yield what a file in base64 holds.

    Raises:
        InputError: it holds other letters, or ends in the middle of a group of four.
    """
    rest = b""
    at = 0
    with path.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            letters = data.translate(None, SPACE)
            if letters and rest.endswith(b"="):
                raise _wrong(called, f"something follows its end, before byte {at + len(data)}")
            rest += letters
            # A group that ends it is kept back, so that nothing goes unseen behind it.
            cut = (len(rest) - 1) // 4 * 4 if rest else 0
            if rest[:cut].endswith(b"="):
                raise _wrong(called, f"something follows its end, before byte {at + len(data)}")
            yield _decoded(rest[:cut], called, at)
            rest = rest[cut:]
            at += len(data)
    if len(rest) % 4:
        raise _wrong(called, "it ends early: its letters come in groups of four")
    yield _decoded(rest, called, at)


def _decoded(letters: bytes, called: str, at: int) -> bytes:
    try:
        return binascii.a2b_base64(letters, strict_mode=True)
    except binascii.Error as error:
        raise _wrong(called, f"{str(error).lower()}, behind byte {at}") from error


def _wrong(called: str, why: str) -> InputError:
    return InputError(f"{called} is not base64", why, "encode it again: base64 FILE")
