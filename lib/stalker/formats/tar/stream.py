"""Tar streams, read once and passed on: headers are looked at, data goes through as slices of what came.

Nothing is extracted and memory does not depend on the size of members, so a hostile or huge archive
can do no more harm than a small one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.tar.header import (
    BLOCK,
    EXTRA,
    PAX_GLOBAL,
    Extra,
    Header,
    broken,
    check_block,
    global_header,
    number,
    read_header,
    read_records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Data = bytes | memoryview
    Decide = Callable[[Header], Header | None]
    Route = Callable[[Header], tuple[int, Header] | None]

ZEROS = bytes(BLOCK)
END = bytes(2 * BLOCK)
EXTRA_MAX_BYTES = 16 << 20
"""Names and records past this are an attack, not a file system: xattrs end at 64 kB each."""


def walk(chunks: Iterable[Data]) -> Iterator[Header | memoryview]:
    """Yield each member's header and then its data in pieces, as they come; padding is left out.

    A header of kind `g` (global pax records) is yielded at its place. What is behind the end of
    the archive is read and left out.

    Raises:
        InputError: the stream is not a tar, or it ends early: inside a member or without the two blocks
            of zeros that end an archive.
    """
    source = _Source(chunks)
    common: dict[bytes, bytes] = {}
    extras: list[Extra] = []
    last = b""
    while True:
        block = source.take(BLOCK)
        if len(block) < BLOCK:
            raise _ended_early(last)
        if block == ZEROS:
            if source.take(BLOCK) != ZEROS or extras:
                raise _ended_early(last)
            source.drain()
            return
        check_block(block)
        kind = block[156:157]
        if kind in EXTRA:
            extra = _read_extra(source, block, last)
            if kind == PAX_GLOBAL:
                common.update(read_records(extra.payload))
                yield global_header(extra)
            else:
                extras.append(extra)
            continue
        behind = _read_sparse_map(source, block) if kind == b"S" else b""
        header = read_header(block, tuple(extras), behind, common)
        extras.clear()
        last = header.name
        yield header
        left = header.size
        while left:
            piece = source.some(left)
            if not piece:
                raise _ended_early(last)
            left -= len(piece)
            yield piece
        padding = -header.size % BLOCK
        if padding and len(source.take(padding)) < padding:
            raise _ended_early(last)


def filter_tar(chunks: Iterable[Data], decide: Decide, *, latest_s: int | None = None) -> Iterator[Data]:
    """Pass a tar stream on, member by member as `decide` says, with an end of its own.

    `decide(header)` returns the header to keep a member, None to drop it, or an edited one
    (`renamed`, `filled`) in its place. No time is later than `latest_s`. Raises as `walk`.
    """

    def route(header: Header) -> tuple[int, Header] | None:
        kept = decide(header)
        return None if kept is None else (0, kept)

    for _, data in split_tar(chunks, route, 1, latest_s=latest_s):
        yield data


def split_tar(
    chunks: Iterable[Data], route: Route, outputs: int, *, latest_s: int | None = None
) -> Iterator[tuple[int, Data]]:
    """Pass a tar stream on to several in one pass: yield (number of the output, data).

    `route(header)` returns the output and the header, kept or edited, or None to drop the member.
    Every output gets the global pax records and an end of the archive. Raises as `walk`.
    """
    output: int | None = None
    padding = 0
    for item in walk(chunks):
        if isinstance(item, memoryview):
            if output is not None:
                yield output, item
            continue
        if output is not None and padding:
            yield output, ZEROS[:padding]
        output = None
        header = item if latest_s is None else item.clamped(latest_s)
        if header.kind == PAX_GLOBAL:
            for one in range(outputs):
                yield one, header.raw
            continue
        routed = route(header)
        if routed is None:
            continue
        output, header = routed
        yield output, header.raw
        padding = -header.size % BLOCK
        if header.content is not None:
            yield output, header.content + bytes(-len(header.content) % BLOCK)
            output = None
    if output is not None and padding:
        yield output, ZEROS[:padding]
    for output in range(outputs):
        yield output, END


def _read_extra(source: _Source, block: bytes, last: bytes) -> Extra:
    size = number(block[124:136])
    if not 0 <= size <= EXTRA_MAX_BYTES:
        raise broken(f"a name or record of {size} bytes")
    payload = source.take(size)
    padding = -size % BLOCK
    if len(payload) < size or len(source.take(padding)) < padding:
        raise _ended_early(last)
    return Extra(block, payload)


def _read_sparse_map(source: _Source, block: bytes) -> bytes:
    """Return the blocks that go on with an old GNU sparse map; the one before says if another follows."""
    parts = []
    goes_on = block[482:483] == b"\x01"
    while goes_on:
        part = source.take(BLOCK)
        if len(part) < BLOCK:
            raise _ended_early(b"")
        parts.append(part)
        goes_on = part[504:505] == b"\x01"
    return b"".join(parts)


def _ended_early(last: bytes) -> InputError:
    after = f" after {last.decode('utf-8', 'replace')}" if last else ""
    return InputError(
        f"the tar stream ended early{after}", "the end of an archive did not come", "fetch or make it again"
    )


class _Source:
    """Chunks of any size, read by count."""

    __slots__ = ("_at", "_chunks", "_end", "_view")

    def __init__(self, chunks: Iterable[Data]) -> None:
        self._chunks = iter(chunks)
        self._view = memoryview(b"")
        self._at = self._end = 0

    def take(self, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end of the stream."""
        at = self._at
        if self._end - at >= count:
            self._at = at + count
            return bytes(self._view[at : at + count])
        parts = []
        while count:
            piece = self.some(count)
            if not piece:
                break
            parts.append(piece)
            count -= len(piece)
        return b"".join(parts)

    def some(self, most: int) -> memoryview:
        """Return up to `most` bytes without copying; none only at the end of the stream."""
        while self._at == self._end:
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._view = memoryview(chunk)
            self._at, self._end = 0, len(chunk)
        at = self._at
        self._at = min(self._end, at + most)
        return self._view[at : self._at]

    def drain(self) -> None:
        """Read to the end of the stream, so that its sender ends well."""
        self._at = self._end
        for _ in self._chunks:
            pass
