"""A disk image written to a card, and read back: whole, or reported as incomplete.

The first bytes, with the partition table, come last: a card that was taken out too early has none, and
starts nothing. The device is held for ourselves alone all the while, so nothing can mount it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import InputError, PlanError, StalkerError
from stalker.flash.source import Piece
from stalker.formats.fs.required_zeros import required_zeros
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.table import read_table
from stalker.io.compression.reader import PIECE_BYTES
from stalker.io.progress import Silent, Task
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stalker.flash.source import Source
    from stalker.formats.bmap import Range
    from stalker.host.block_device import Device
    from stalker.io.progress import Reporter

HEAD_BYTES = 1 << 20
"""Where tables and signatures stand: the first and the last of a device."""

SYNC_BYTES = 32 << 20
"""So much is on its way to the card at a time: progress reports what is written, and the last sync is short."""

BLKRRPART, BLKFLSBUF, BLKZEROOUT = 0x125F, 0x1261, 0x127F
ZEROS = bytes(1 << 20)


@dataclass(slots=True)
class Written:
    """What was written, for reading it back: (start, length, digest) of each piece, in order."""

    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """How many there are."""
        return sum(length for _, length, _ in self.pieces)


@contextlib.contextmanager
def held(device: Device) -> Iterator[int]:
    """Open a device for ourselves alone, and give its descriptor.

    Raises PlanError when another process has it, in any container, or when permission is missing.
    """
    try:
        number = os.open(device.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise PlanError(
                f"{device.path} is in use",
                "the kernel gives it to nobody else: it is mounted in some container, or part of another device",
                "see that nothing uses it, then again",
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise PlanError(
                f"{device.path} cannot be opened for writing",
                error.strerror or "",
                f"run it as root: sudo {program()} image write ...",
            ) from error
        raise _failed(device, "be opened", error) from error
    try:
        yield number
    finally:
        os.close(number)


def write_card(number: int, device: Device, source: Source, reporter: Reporter) -> Written:
    """Write an image to a device that is `held`; all of it is on the card when this returns.

    The reporter may raise to stop it.

    Raises:
        InputError: the image is damaged, or larger than the device. StalkerError: the device refuses.
    """
    card = _Card(number, device)
    try:
        card.clear_ends()
        card.task = Task("writing", reporter, source.work_bytes)
        for piece in source.pieces():
            card.put(piece)
        if source.map is not None:
            card.put_required_zeros(source.map.ranges)
        card.finish()
    except OSError as error:
        raise _failed(device, "be written", error) from error
    return card.written


def verify_card(number: int, device: Device, written: Written, reporter: Reporter) -> None:
    """Read back what was written, from the card and not from memory. Raises StalkerError where it differs."""
    task = Task("verifying", reporter, written.bytes)
    try:
        fcntl.ioctl(number, BLKFLSBUF)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        for start, length, digest in written.pieces:
            if _digest(_read(number, start, length)) != digest:
                raise StalkerError(
                    f"{device.path} does not hold what was written",
                    f"the bytes from {start} to {start + length} are others",
                    "the card or its reader is broken, or the card is smaller than it says: take another one",
                )
            task.add(length)
        task.end(written.bytes)
    except OSError as error:
        raise _failed(device, "be read back", error) from error


def reread_table(number: int) -> bool:
    """Let the kernel look at the new partition table; False when it does not want to, which is harmless."""
    try:
        fcntl.ioctl(number, BLKRRPART)
    except OSError:
        return False
    return True


class _Card:
    """A device while it is written."""

    def __init__(self, number: int, device: Device) -> None:
        self.written = Written()
        self._number = number
        self._device = device
        self.task = Task("writing", Silent())
        self._unsynced = 0
        self._head = bytearray()

    def clear_ends(self) -> None:
        """Take away the tables and signatures of what was there before."""
        size = self._device.size_bytes
        self._zero(0, min(HEAD_BYTES, size))
        last = max(size - HEAD_BYTES, 0)
        self._zero(last, size - last)
        os.fsync(self._number)

    def put(self, piece: Piece) -> None:
        """Write a piece; what is in the first megabyte is kept for the end."""
        end = piece.start + piece.length
        if end > self._device.size_bytes:
            raise InputError(
                f"the image is larger than {self._device.path}",
                f"it has more than {self._device.size_bytes} bytes; the card is incomplete",
                "take a larger one, or make the image smaller: `size` of its disk in the tree",
            )
        if piece.start < HEAD_BYTES:
            mine = min(piece.length, HEAD_BYTES - piece.start)
            self._head += bytes(piece.start - len(self._head))
            self._head += bytes(mine) if piece.data is None else piece.data[:mine]
            if mine == piece.length:
                return
            piece = Piece(HEAD_BYTES, piece.length - mine, None if piece.data is None else piece.data[mine:])
        self._put_now(piece)

    def put_required_zeros(self, ranges: Iterable[Range]) -> None:
        """Write the zeros that a map leaves out and that file systems rely on; the rest may be anything."""
        mapped = [(one.begin, one.end) for one in ranges]
        os.fsync(self._number)

        def read(start: int, length: int) -> bytes:
            head = bytes(self._head[start : start + length])
            return head + _read(self._number, start + len(head), length - len(head))

        image_bytes = max((end for _, end in mapped), default=0)
        table = read_table(read, self._device.size_bytes)
        for entry in table.entries:
            start = entry.start_sector * SECTOR_BYTES
            size = min(entry.sectors * SECTOR_BYTES, self._device.size_bytes - start)
            if size <= 0 or start > image_bytes:
                continue
            for begin, end in (
                (start, start + min(HEAD_BYTES, size)),
                (start + size - min(HEAD_BYTES, size), start + size),
                *required_zeros(read, start, size),
            ):
                for gap_begin, gap_end in _gaps(begin, end, mapped):
                    self._put_now(Piece(gap_begin, gap_end - gap_begin, None))

    def finish(self) -> None:
        """Write the first megabyte, and wait until all is on the card."""
        os.fsync(self._number)
        if self._head:
            self._write(0, self._head)
            self._note(0, bytes(self._head))
            self.task.add(len(self._head))
        os.fsync(self._number)
        self.task.end(self.task.done_bytes)

    def _put_now(self, piece: Piece) -> None:
        for start in range(piece.start, piece.start + piece.length, PIECE_BYTES):
            length = min(PIECE_BYTES, piece.start + piece.length - start)
            if piece.data is None:
                self._zero(start, length)
                self.written.pieces.append((start, length, _zeros_digest(length)))
            else:
                data = memoryview(piece.data)[start - piece.start :][:length]
                self._write(start, data)
                self._note(start, data)
            self._unsynced += length
            if self._unsynced >= SYNC_BYTES:
                os.fdatasync(self._number)
                self._unsynced = 0
            self.task.add(length)

    def _note(self, start: int, data: bytes | memoryview) -> None:
        self.written.pieces.append((start, len(data), _digest(data)))

    def _write(self, start: int, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._number, view, start)
            view, start = view[count:], start + count

    def _zero(self, start: int, length: int) -> None:
        """Make zeros, by the device itself where it can do that quicker than by writing them."""
        is_aligned = start % 4096 == 0 and length % 4096 == 0
        if is_aligned and self._device.zeroes_fast:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._number, BLKZEROOUT, struct.pack("QQ", start, length))
                return
        for at in range(start, start + length, len(ZEROS)):
            self._write(at, memoryview(ZEROS)[: min(len(ZEROS), start + length - at)])


def _gaps(begin: int, end: int, mapped: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what of a range is in none of some others, which come in order."""
    at = begin
    for first, last in mapped:
        if last <= at:
            continue
        if first >= end:
            break
        if first > at:
            yield at, first
        at = last
    if at < end:
        yield at, end


def _read(number: int, start: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0 and (data := os.pread(number, length, start)):
        parts.append(data)
        start, length = start + len(data), length - len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _digest(data: bytes | bytearray | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


_ZERO_DIGESTS: dict[int, bytes] = {}


def _zeros_digest(length: int) -> bytes:
    if length not in _ZERO_DIGESTS:
        _ZERO_DIGESTS[length] = _digest(bytes(length))
    return _ZERO_DIGESTS[length]


def _failed(device: Device, what: str, error: OSError) -> StalkerError:
    return StalkerError(
        f"{device.path} cannot {what}",
        error.strerror or str(error),
        "the card or its reader is broken, or was taken out",
    )
