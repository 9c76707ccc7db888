"""Sparse files: zeros that take no room.

Bytes of files copied without being looked at: shared where the file system can, the data alone where it cannot.

What is not data is a hole in the copy too, so a copy never takes more space than its source.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from typing import TYPE_CHECKING, BinaryIO

from stalker.errors import StalkerError
from stalker.io.compression.reader import damaged, packing_of, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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


FICLONE = 0x40049409
"""ioctl_ficlone(2): the copy shares the blocks of the original until one of them is written."""

AT_ONCE_BYTES = 64 << 20
"""How much the kernel copies before progress is reported and an interruption is seen."""

BY_HAND_BYTES = 1 << 20

_NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ENOTTY})
"""What the kernel says of a call that it, or one of the file systems, does not have."""


def nothing(_count: int = 0) -> None:
    """Do nothing: for progress that is not shown, and for work that is not interrupted."""


def take_base(
    path: Path, target: BinaryIO, on_bytes: Callable[[int], None], check: Callable[[], None] = nothing
) -> None:
    """Bring a base into the new file `target`, whether it is packed or not.

    `on_bytes` counts the bytes of the file `path`, packed or not: all of them in the end.

    Raises:
        InputError: it is damaged.
        StalkerError: it cannot be read, or the copy not be written.
    """
    with _told(path, target):
        is_packed = bool(packing_of(path))
    (unpack_base if is_packed else copy_image)(path, target, on_bytes, check)


def copy_image(
    source: Path, target: BinaryIO, on_bytes: Callable[[int], None], check: Callable[[], None] = nothing
) -> None:
    """Copy a file into the new file `target`; `check` is called now and then and may raise.

    `on_bytes` counts holes too, so that it comes to the size of the file.

    Raises:
        StalkerError: it cannot be read, or the copy not be written.
    """
    with _told(source, target), source.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if _is_shared(stream.fileno(), target.fileno()):
            on_bytes(size)
            return
        os.ftruncate(target.fileno(), size)
        place(stream.fileno(), target.fileno(), 0, size, on_bytes=on_bytes, check=check)


def place(
    source: int,
    target: int,
    start: int,
    length: int,
    *,
    source_start: int = 0,
    on_bytes: Callable[[int], None] = nothing,
    check: Callable[[], None] = nothing,
) -> None:
    """Put `length` bytes of one open file, from `source_start` on, into another at `start`.

    What is a hole there becomes zeros here, and a hole where it can. `target` has to be as long already.

    Raises:
        OSError: one of them cannot be read or written, or the source ends early.
    """
    shift = start - source_start
    at, end = source_start, source_start + length
    if os.fstat(source).st_size < end:
        raise OSError(errno.EIO, f"it ends at byte {os.fstat(source).st_size}, and {end} were expected")
    for begin, stop in stored_ranges(source, at, end):
        _clear(target, at + shift, begin + shift)
        on_bytes(begin - at)
        at = begin
        while at < stop:
            check()
            count = _copied(source, target, at, at + shift, min(stop - at, AT_ONCE_BYTES))
            if not count:
                raise OSError(errno.EIO, f"it ends at byte {at}, and {end} were expected")
            at += count
            on_bytes(count)
    _clear(target, at + shift, end + shift)
    on_bytes(end - at)


def unpack_base(
    path: Path, target: BinaryIO, on_bytes: Callable[[int], None], check: Callable[[], None] = nothing
) -> None:
    """Unpack a file into the new file `target`, sparse: what is zeros becomes holes.

    `on_bytes` counts the bytes of the packed file: what it unpacks to is not always known before.

    Raises:
        InputError: it is damaged or cut, or a zip holds no image, or several.
        StalkerError: it cannot be read, or the copy not be written; or zstd is not installed.
    """
    size = 0
    with _told(path, target), contextlib.closing(unpacked(path, on_read=on_bytes)) as pieces:
        for data in pieces:
            check()
            write_sparse(target.fileno(), data, size)
            size += len(data)
        os.ftruncate(target.fileno(), size)
    if not size:
        raise damaged(path, "there is nothing in it")


def _is_shared(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    return True


def _copied(source: int, target: int, at: int, start: int, count: int) -> int:
    """Copy at most so many bytes and return how many; 0 at the end of the source."""
    copied = _by_kernel(source, target, at, start, count)
    if copied:
        return copied
    data = os.pread(source, min(count, BY_HAND_BYTES), at)
    done = 0
    while done < len(data):
        done += os.pwrite(target, memoryview(data)[done:], start + done)
    return done


def _by_kernel(source: int, target: int, at: int, start: int, count: int) -> int:
    """Let the kernel copy; 0 where it does not between these two, and at the end of the source."""
    try:
        return os.copy_file_range(source, target, count, at, start)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return 0
        raise


def _clear(target: int, begin: int, end: int) -> None:
    """Make zeros of what is in a part of a file."""
    for start, stop in list(stored_ranges(target, begin, end)):
        zero_range(target, start, stop - start)


@contextlib.contextmanager
def _told(path: Path, target: BinaryIO) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StalkerError(
            f"{path} could not be copied to {target.name}",
            error.strerror or str(error),
            "free space there, or fix the permissions" if error.errno != errno.EIO else "look after the disk",
        ) from error
