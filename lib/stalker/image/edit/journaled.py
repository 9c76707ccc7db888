"""Pieces written into an image that is in use by nobody, all of them or none, whatever happens meanwhile.

    .IMG.changes    what is being written, whole and on the disk before the first piece is; gone when all are

Whoever finds it, after a kill or a power cut, writes its pieces again before anything else.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAGIC = b"stalker changes 1\n"
_HEAD = struct.Struct("<QQ")


def changes_of(image: Path) -> Path:
    """Return where the changes of an image stand while they are written."""
    return image.with_name(f".{image.name}.changes")


def write_pieces(image: Path, descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Write pieces (offset, bytes) into an image. Raises OSError: they are none of them, or all by `recover`."""
    journal = changes_of(image)
    passing = journal.with_name(f"{journal.name}.part")
    body = b"".join(_HEAD.pack(start, len(data)) + data for start, data in pieces)
    try:
        with passing.open("wb") as stream:
            stream.write(MAGIC + hashlib.sha256(body).digest() + body)
            stream.flush()
            os.fsync(stream.fileno())
        passing.replace(journal)
    except OSError:
        passing.unlink(missing_ok=True)
        raise
    _sync_folder(image)
    _apply(descriptor, body)
    os.fsync(descriptor)
    journal.unlink()


def recover(image: Path) -> bool:
    """Finish what a killed one began, and say whether there was something. Raises StalkerError."""
    journal = changes_of(image)
    try:
        found = journal.read_bytes()
    except FileNotFoundError:
        return False
    digest, body = found[len(MAGIC) : len(MAGIC) + 32], found[len(MAGIC) + 32 :]
    if not found.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise StalkerError(
            f"{journal} is not what was written there",
            "changes of the image were begun and cannot be finished",
            "create the image again",
        )
    with image.open("r+b", buffering=0) as stream:
        _apply(stream.fileno(), body)
        os.fsync(stream.fileno())
    journal.unlink()
    return True


def _apply(descriptor: int, body: bytes) -> None:
    at = 0
    while at < len(body):
        start, length = _HEAD.unpack_from(body, at)
        at += _HEAD.size
        piece = memoryview(body)[at : at + length]
        at += length
        while piece:
            count = os.pwrite(descriptor, piece, start)
            start, piece = start + count, piece[count:]


def _sync_folder(image: Path) -> None:
    folder = os.open(image.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
