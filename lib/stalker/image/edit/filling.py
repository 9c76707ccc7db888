"""Bytes of files written straight into an image, at the ranges that an editor gave."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from stalker.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from stalker.image.edit.entries import Range

    Data = bytes | memoryview

PIECE_BYTES = 8 << 20
"""How much is copied at once: often enough for a progress that moves, and for Ctrl-C."""

_NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def fill_from_file(
    descriptor: int, ranges: Sequence[Range], source: Path, on_bytes: Callable[[int], None]
) -> None:
    """Copy a file of this host into its ranges; the kernel copies, where it can.

    Raises:
        InputError: it is shorter or longer than the ranges: somebody changed it meanwhile.
        OSError: it could not be read, or the image not be written.
    """
    with source.open("rb") as stream:
        at = 0
        for start, length in ranges:
            done = 0
            while done < length:
                count = _copy(stream.fileno(), at, descriptor, start + done, min(length - done, PIECE_BYTES))
                if not count:
                    raise _changed(source, at, sum(one.length for one in ranges))
                done += count
                at += count
                on_bytes(count)
        if os.fstat(stream.fileno()).st_size != at:
            raise _changed(source, os.fstat(stream.fileno()).st_size, at)


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


def _copy(source: int, at: int, target: int, start: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, at, start)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    data = os.pread(source, count, at)
    return os.pwrite(target, data, start) if data else 0


def _changed(source: Path, size_bytes: int, wanted: int) -> InputError:
    return InputError(
        f"{source.name} changed while it was copied",
        f"it has {size_bytes} bytes, {wanted} were expected",
        "run again when nobody writes to it",
    )
