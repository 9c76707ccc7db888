"""Bytes of files written straight into an image, at the ranges that an editor gave."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.image.edit.copying import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from stalker.image.edit.entries import Range

    Data = bytes | memoryview


def fill_from_file(
    descriptor: int, ranges: Sequence[Range], source: Path, on_bytes: Callable[[int], None]
) -> None:
    """Copy a file of this host into its ranges; the kernel copies, where it can.

    Raises:
        InputError: it is shorter or longer than the ranges: somebody changed it meanwhile.
        OSError: it could not be read, or the image not be written.
    """
    wanted = sum(one.length for one in ranges)
    with source.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if size_bytes != wanted:
            raise InputError(
                f"{source.name} changed while it was copied",
                f"it has {size_bytes} bytes, {wanted} were expected",
                "run again when nobody writes to it",
            )
        at = 0
        for start, length in ranges:
            place(stream.fileno(), descriptor, start, length, source_start=at, on_bytes=on_bytes)
            at += length


def fill_from_pieces(
    descriptor: int,
    ranges: Sequence[Range],
    pieces: Iterable[Data],
    name: str,
    on_bytes: Callable[[int], None],
) -> None:
    """Write what comes in pieces into the ranges of the file `name`.

    Raises:
        InputError: fewer or more bytes came than there is room made for.
        OSError: the image could not be written.
    """
    wanted = sum(one.length for one in ranges)
    left = list(ranges)
    written = 0
    for data in pieces:
        piece = memoryview(data)
        if written + len(piece) > wanted:
            raise InputError(f"{name} is longer than was said", f"{wanted} bytes were said", "fetch it again")
        on_bytes(len(piece))
        while piece:
            start, length = left[0]
            count = os.pwrite(descriptor, piece[:length], start)
            piece = piece[count:]
            written += count
            left[0] = left[0]._replace(start=start + count, length=length - count)
            if not left[0].length:
                left.pop(0)
    if written != wanted:
        raise InputError(f"{name} ends early", f"{written} of {wanted} bytes came", "fetch it again")
