"""Write pieces into an image that is not in use: all of them or none, whatever happens meanwhile.

    .IMG.changes    what is being written, and what was there, on the disk before the first piece is; gone
                    when all are

The process that finds it, after a kill or a power cut, compares it with the image. When a part of it is, the rest is
written too. When nothing is, nothing was begun, or another image has taken the place: then it is forgotten.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAGIC = b"stalker changes 2\n"
SECTOR_BYTES = 512
"""So much is written whole or not at all."""

_HEAD = struct.Struct("<QQ")


def changes_of(image: Path) -> Path:
    """Return where the changes of an image stand while they are written."""
    return image.with_name(f".{image.name}.changes")


def write_pieces(image: Path, descriptor: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Write pieces (offset, bytes) into an image.

    Raises:
        OSError: the disk is full or broken; they are none of them, or all by `recover`.
    """
    journal = changes_of(image)
    body = b"".join(
        _HEAD.pack(start, len(data)) + os.pread(descriptor, len(data), start).ljust(len(data), b"\0") + data
        for start, data in pieces
    )
    write_file(journal, MAGIC + hashlib.sha256(body).digest() + body)
    _apply(descriptor, body)
    os.fsync(descriptor)
    journal.unlink()


def recover(image: Path, descriptor: int) -> str:
    """Finish what a killed one began; return in words what was done, empty where nothing was to be.

    Raises:
        StalkerError: a part of it is in the image, and something else too.
    """
    journal = changes_of(image)
    try:
        found = journal.read_bytes()
    except FileNotFoundError:
        return ""
    digest, body = found[len(MAGIC) : len(MAGIC) + 32], found[len(MAGIC) + 32 :]
    if not found.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise _lost(image, f"{journal.name} is not what was written there")
    states = {state for one in _pieces(body) for state in _states(descriptor, *one)}
    if "new" not in states:
        journal.unlink()
        was = "it is another image now" if "other" in states else "nothing of them was written"
        return f"changes of {image.name} that were begun before are forgotten: {was}"
    if "other" in states:
        raise _lost(image, "it was changed in between")
    _apply(descriptor, body)
    os.fsync(descriptor)
    journal.unlink()
    return f"changes of {image.name} that were begun before are finished"


def _lost(image: Path, why: str) -> StalkerError:
    return StalkerError(
        f"changes of {image} were begun, and cannot be finished",
        why,
        f"get the image again, then: rm {changes_of(image)}",
    )


def _pieces(body: bytes) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield where each piece begins, what was there, and what it is."""
    at = 0
    while at < len(body):
        start, length = _HEAD.unpack_from(body, at)
        at += _HEAD.size
        both = memoryview(body)[at : at + 2 * length]
        at += 2 * length
        yield start, both[:length], both[length:]


def _states(descriptor: int, start: int, old: memoryview, new: memoryview) -> Iterator[str]:
    """Yield for each sector that a piece changes whether it is the old one, the new one, or another."""
    here = os.pread(descriptor, len(new), start)
    at = 0
    while at < len(new):
        end = min(at + SECTOR_BYTES - (start + at) % SECTOR_BYTES, len(new))
        if old[at:end] != new[at:end]:
            sector = here[at:end]
            yield "new" if sector == new[at:end] else "old" if sector == old[at:end] else "other"
        elif here[at:end] != new[at:end]:
            yield "other"
        at = end


def _apply(descriptor: int, body: bytes) -> None:
    for start, _, piece in _pieces(body):
        at, left = start, piece
        while left:
            count = os.pwrite(descriptor, left, at)
            at, left = at + count, left[count:]
