"""Sparse files of a tar as the files that they are: what is stored, and zeros where nothing is.

Source: GNU tar manual, "Storing Sparse Files": old GNU headers, and pax formats 0.0, 0.1 and 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import InputError
from stalker.formats.tar.header import BLOCK, PAX, Header, broken, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Data = bytes | memoryview

ZEROS = memoryview(bytes(1 << 18))
DIGITS_MAX = 20
SIZE = (b"GNU.sparse.realsize", b"GNU.sparse.size")
EXTENTS_IN_HEADER, EXTENTS_BEHIND = slice(386, 482), slice(0, 504)


class Extent(NamedTuple):
    """Bytes that are stored, and where they belong."""

    start: int
    length: int


class Sparse(NamedTuple):
    """What a sparse file is made of; `data` is what is stored, behind any map."""

    size_bytes: int
    extents: Sequence[Extent]
    data: Iterator[Data]


def real_size(header: Header) -> int | None:
    """Return how large a sparse file is; None for a file that is none. Raises InputError."""
    if header.kind == b"S":
        return number(header.block[483:495])
    for key in SIZE:
        if key in header.records:
            return _int(header.records[key])
    return None


def read_sparse(header: Header, data: Iterator[Data]) -> Sparse:
    """Read the map of a sparse file, of which `data` is what follows its header.

    Raises:
        InputError: the map does not fit what is stored, or the file.
    """
    size = real_size(header)
    assert size is not None
    stored = header.size
    if header.kind == b"S":
        extents = _old_map(header)
    elif b"GNU.sparse.map" in header.records:
        extents = _pairs([_int(one) for one in header.records[b"GNU.sparse.map"].split(b",") if one])
    elif b"GNU.sparse.major" in header.records:
        cutter = _Cutter(data)
        extents = _leading_map(cutter)
        stored -= cutter.taken
        data = cutter.rest()
    else:
        extents = _repeated_map(header)
    if size < 0:
        raise broken("a size below zero")
    at = 0
    for start, length in extents:
        if start < at or length < 0 or start + length > size:
            raise broken("a sparse file whose parts do not fit it")
        at = start + length
    if sum(one.length for one in extents) != stored:
        raise broken("a sparse file whose parts are not what is stored of it")
    return Sparse(size, extents, data)


def filled(sparse: Sparse) -> Iterator[Data]:
    """Yield the whole file, zeros for what is not stored."""
    cutter = _Cutter(sparse.data)
    at = 0
    for start, length in sparse.extents:
        yield from _zeros(start - at)
        left = length
        while left:
            piece = cutter.some(left)
            left -= len(piece)
            yield piece
        at = start + length
    yield from _zeros(sparse.size_bytes - at)


def _old_map(header: Header) -> list[Extent]:
    found = _slots(header.block[EXTENTS_IN_HEADER])
    for at in range(0, len(header.behind), BLOCK):
        found += _slots(header.behind[at : at + BLOCK][EXTENTS_BEHIND])
    return found


def _slots(data: bytes) -> list[Extent]:
    """Read pairs of numbers of twelve bytes each; an empty one ends them."""
    found = []
    for at in range(0, len(data), 24):
        if not data[at : at + 12].strip(b"\0 "):
            break
        found.append(Extent(number(data[at : at + 12]), number(data[at + 12 : at + 24])))
    return found


def _repeated_map(header: Header) -> list[Extent]:
    """Read the records of format 0.0, which come once for each part."""
    numbers = []
    for extra in header.extras:
        at = 0
        while extra.kind == PAX and at < len(extra.payload):
            length, _, _ = extra.payload[at:].partition(b" ")
            record = extra.payload[at : at + int(length)].partition(b" ")[2]
            key, _, value = record.rstrip(b"\n").partition(b"=")
            if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
                numbers.append(_int(value))
            at += int(length)
    return _pairs(numbers)


def _leading_map(cutter: _Cutter) -> list[Extent]:
    """Read the map of format 1.0: numbers in lines before the data, filled up to a block."""
    lines: list[bytes] = []
    rest = b""
    wanted = 1
    while len(lines) < wanted:
        block = cutter.take(BLOCK)
        if len(block) < BLOCK:
            raise broken("a sparse file whose map ends early")
        *new, rest = (rest + block).split(b"\n")
        lines += new
        if len(rest.rstrip(b"\0")) > DIGITS_MAX:
            raise broken("a sparse file whose map cannot be read")
        wanted = 1 + 2 * _int(lines[0])
    return _pairs([_int(line) for line in lines[1:wanted]])


def _pairs(numbers: Sequence[int]) -> list[Extent]:
    if len(numbers) % 2:
        raise broken("a sparse file whose map cannot be read")
    return [Extent(*numbers[at : at + 2]) for at in range(0, len(numbers), 2)]


def _int(text: bytes) -> int:
    if not text.isdigit() or len(text) > DIGITS_MAX:
        raise broken("a sparse file whose map cannot be read")
    return int(text)


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield ZEROS[:count]
        count -= len(ZEROS)


class _Cutter:
    """Gives what comes in pieces in pieces of other sizes."""

    def __init__(self, pieces: Iterable[Data]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")
        self.taken = 0

    def some(self, most: int) -> memoryview:
        """Return up to `most` bytes, and at least one. Raises InputError when none is left."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                raise InputError("a sparse file ends early")
            self._left = memoryview(piece)
        piece, self._left = self._left[:most], self._left[most:]
        self.taken += len(piece)
        return piece

    def take(self, count: int) -> bytes:
        """Return this many bytes."""
        parts = []
        while count:
            parts.append(self.some(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def rest(self) -> Iterator[Data]:
        """Yield all that is left."""
        if self._left:
            yield self._left
        yield from self._pieces
