"""Sparse files: zeros that take no room."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 4096
RUN_BYTES = 1 << 20
ZEROS = bytes(RUN_BYTES)
KEEP_SIZE, PUNCH_HOLE = 1, 2
"""fallocate(2): modes that together take away what a part of a file stores."""


def stored_ranges(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what a part of a file stores; a file system that does not tell stores all of it."""
    at = start
    while at < end:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            stop = os.lseek(descriptor, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield at, end
            return
        if begin >= end:
            return
        yield begin, min(stop, end)
        at = stop


def write_sparse(descriptor: int, data: bytes, start: int) -> None:
    """Write to a new file at `start`, a multiple of 4096, and leave holes for blocks of zeros.

    So the file may end too early: its size has to be set at the end.
    """
    view = memoryview(data)
    begin = at = 0
    while at < len(data):
        length = RUN_BYTES if data.startswith(ZEROS, at) else min(BLOCK_BYTES, len(data) - at)
        if length == RUN_BYTES or data.startswith(ZEROS[:length], at):
            _write(descriptor, view[begin:at], start + begin)
            begin = at + length
        at += length
    _write(descriptor, view[begin:at], start + begin)


def zero_range(descriptor: int, start: int, length: int) -> None:
    """Make zeros of a part of a file; a hole, where the file system can. Its size stays as it is."""
    libc = ctypes.CDLL(None)  # Python knows no modes of fallocate
    offset = ctypes.c_longlong
    if libc.fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, offset(start), offset(length)) == 0:
        return
    done = 0
    while done < length:
        done += os.pwrite(descriptor, memoryview(ZEROS)[: length - done], start + done)


def _write(descriptor: int, view: memoryview, start: int) -> None:
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], start + done)
