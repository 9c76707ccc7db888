"""The bytes of an image as an editor sees them: written at once, or collected.

A view has a size and reads and writes at an offset. `FileView` writes into the image. `Overlay` keeps what is
written in memory and never touches the image: what differs is returned by `changes`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Piece = tuple[int, bytes]
    """Bytes, and their offset in the image."""
    Data = bytes | bytearray | memoryview

PAGE_BYTES, SECTOR_BYTES = 4096, 512
ALL_SECTORS = (1 << PAGE_BYTES // SECTOR_BYTES) - 1


class View(Protocol):
    """What an editor reads and writes through. `descriptor` is the file below, which may lack what was written."""

    @property
    def descriptor(self) -> int:
        """The open image."""

    @property
    def size_bytes(self) -> int:
        """How large the image is."""

    def pread(self, count: int, at: int) -> bytes:
        """Return bytes; fewer where the image ends."""

    def pwrite(self, data: Data, at: int) -> None:
        """Write all of these bytes. Raises OSError."""


class FileView:
    """An image that is written to."""

    def __init__(self, descriptor: int) -> None:
        """Take an open image; the caller closes it."""
        self.descriptor = descriptor
        self.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)

    def pread(self, count: int, at: int) -> bytes:
        """Return bytes; fewer where the image ends."""
        return os.pread(self.descriptor, count, at)

    def pwrite(self, data: Data, at: int) -> None:
        """Write all of these bytes. Raises OSError."""
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self.descriptor, rest, at)
            at, rest = at + count, rest[count:]


@dataclass(slots=True)
class _Page:
    """A part of the image, and a bit for each sector of it that was written; the others are as below."""

    data: bytearray
    written: int = 0


class Overlay:
    """An image that is only read, and the sectors of it that were written. Nothing is written beyond its end.

    What is below may change where nothing was written here: the content of files, by another view.
    """

    def __init__(self, descriptor: int) -> None:
        """Take an open image; the caller closes it."""
        self.descriptor = descriptor
        self.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)
        self._pages: dict[int, _Page] = {}
        self._undo: dict[int, _Page | None] = {}

    def pread(self, count: int, at: int) -> bytes:
        """Return bytes; fewer where the image ends."""
        count = max(0, min(count, self.size_bytes - at))
        if not count:
            return b""
        first, last = at // PAGE_BYTES, (at + count - 1) // PAGE_BYTES
        pages = self._pages
        if first == last and first in pages and pages[first].written == ALL_SECTORS:
            begin = at - first * PAGE_BYTES
            return bytes(pages[first].data[begin : begin + count])
        data = os.pread(self.descriptor, count, at).ljust(count, b"\0")
        numbers = [number for number in range(first, last + 1) if number in pages]
        if not numbers:
            return data
        mixed = bytearray(data)
        for number in numbers:
            for start, sector in _sectors(number, pages[number]):
                begin, end = max(at, start), min(at + count, start + SECTOR_BYTES)
                if begin < end:
                    mixed[begin - at : end - at] = sector[begin - start : end - start]
        return bytes(mixed)

    def pwrite(self, data: Data, at: int) -> None:
        """Keep these bytes. Raises ValueError when they go beyond the end of the image."""
        if at < 0 or at + len(data) > self.size_bytes:
            raise ValueError(f"{len(data)} bytes at {at} are outside of an image of {self.size_bytes}")
        done = 0
        while done < len(data):
            number, inside = divmod(at + done, PAGE_BYTES)
            count = min(PAGE_BYTES - inside, len(data) - done)
            page = self._page(number)
            first, last = inside // SECTOR_BYTES, (inside + count - 1) // SECTOR_BYTES
            for edge in {first, last} if inside % SECTOR_BYTES or (inside + count) % SECTOR_BYTES else ():
                self._fill(number, page, edge)
            page.data[inside : inside + count] = data[done : done + count]
            page.written |= (1 << last + 1) - (1 << first)
            done += count

    def mark(self) -> None:
        """Let `go_back` return to what is written now."""
        self._undo.clear()

    def go_back(self) -> None:
        """Forget what was written since the last mark."""
        for number, page in self._undo.items():
            if page is None:
                del self._pages[number]
            else:
                self._pages[number] = page
        self._undo.clear()

    def changes(self) -> list[Piece]:
        """Return what differs from the image, in whole sectors, sorted, joined where one ends at the next."""
        runs: list[tuple[int, bytearray]] = []
        for number in sorted(self._pages):
            page, below = self._pages[number], self._below(number)
            if page.data == below:
                continue
            for start, sector in _sectors(number, page):
                inside = start % PAGE_BYTES
                if sector == below[inside : inside + SECTOR_BYTES]:
                    continue
                if runs and runs[-1][0] + len(runs[-1][1]) == start:
                    runs[-1][1].extend(sector)
                else:
                    runs.append((start, bytearray(sector)))
        return [(start, bytes(data[: self.size_bytes - start])) for start, data in runs]

    def _page(self, number: int) -> _Page:
        """Return a page to be written to; what it was is kept for `go_back`."""
        page = self._pages.get(number)
        if number not in self._undo:
            self._undo[number] = None if page is None else _Page(page.data[:], page.written)
        if page is None:
            page = self._pages[number] = _Page(bytearray(PAGE_BYTES))
        return page

    def _fill(self, number: int, page: _Page, sector: int) -> None:
        """Take a sector that is going to be written in part from below."""
        if not page.written >> sector & 1:
            inside = sector * SECTOR_BYTES
            below = os.pread(self.descriptor, SECTOR_BYTES, number * PAGE_BYTES + inside)
            page.data[inside : inside + SECTOR_BYTES] = below.ljust(SECTOR_BYTES, b"\0")

    def _below(self, number: int) -> bytes:
        return os.pread(self.descriptor, PAGE_BYTES, number * PAGE_BYTES).ljust(PAGE_BYTES, b"\0")


def _sectors(number: int, page: _Page) -> Iterator[tuple[int, bytearray]]:
    """Yield each sector of a page that was written, and its offset."""
    for sector in range(PAGE_BYTES // SECTOR_BYTES):
        if page.written >> sector & 1:
            inside = sector * SECTOR_BYTES
            yield number * PAGE_BYTES + inside, page.data[inside : inside + SECTOR_BYTES]


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces by offset, joined where one ends at the next."""
    rows: list[tuple[int, list[bytes]]] = []
    end = -1
    for at, data in sorted(pieces):
        if at == end:
            rows[-1][1].append(data)
        else:
            rows.append((at, [data]))
        end = at + len(data)
    return [(at, b"".join(row)) for at, row in rows]
