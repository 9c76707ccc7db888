"""A disk image as a stream of what is to be written, packed or not; nothing of it is unpacked to a file.

With a block map only what holds data is given; else every byte counts, and runs of zeros are given as such.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from stalker.disk.checksums import sha256_of
from stalker.disk.first_bytes import HEAD_BYTES, not_an_image
from stalker.disk.pack import data_ranges
from stalker.errors import InputError, PlanError
from stalker.formats.bmap import BlockMap, find_map, read_map
from stalker.io.compression.reader import (
    PIECE_BYTES,
    check_unpacker,
    least_bytes,
    packing_of,
    told_bytes,
    unpacked,
)
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path


MAP_CHECK_BYTES = 64 << 20


class Piece(NamedTuple):
    """Bytes of the image from `start` on; `data` None stands for `length` zeros."""

    start: int
    length: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Source:
    """An image to be written. `size_bytes` is None where a packed one does not tell, and may be too small for
    one packed in several frames; `map` is None without one.

    `least_bytes` is the least that it can be where it is not known exactly, 0 for unknown. `digest` is what a
    `.sha256` next to it says of the file. `notice` is why a block map is not used.
    """

    path: Path
    size_bytes: int | None
    map: BlockMap | None = None
    digest: str = ""
    is_packed: bool = False
    map_path: Path | None = None
    least_bytes: int = 0
    notice: str = ""

    @property
    def known_bytes(self) -> int | None:
        """How many bytes it has at least, None for unknown."""
        return self.size_bytes if self.size_bytes is not None else self.least_bytes or None

    @property
    def work_bytes(self) -> int | None:
        """How many bytes are going to be written, None where that is not known."""
        return self.map.mapped_bytes if self.map is not None else self.size_bytes

    def pieces(self) -> Generator[Piece, None, None]:
        """Yield what is to be written, in order; a generator to be closed.

        Raises:
            InputError: it is damaged: it does not unpack, ends early, or a checksum is wrong.
        """
        stream = self._packed() if self.is_packed else self._raw()
        with contextlib.closing(stream):
            yield from _checked(stream, self.map, self.path) if self.map is not None else stream

    def _raw(self) -> Generator[Piece, None, None]:
        size = self.size_bytes or 0
        with self.path.open("rb", buffering=0) as file:
            number = file.fileno()
            ranges = (
                [(one.begin, one.end) for one in self.map.ranges]
                if self.map is not None
                else list(data_ranges(number, size))
            )
            at = 0
            for begin, end in ranges:
                if begin > at and self.map is None:
                    yield Piece(at, begin - at, None)
                for start in range(begin, end, PIECE_BYTES):
                    data = _read_all(file, min(PIECE_BYTES, end - start), start)
                    if len(data) < min(PIECE_BYTES, end - start):
                        raise _damaged(self.path, f"it ends at {start + len(data)}")
                    yield _piece(start, data, keeps_zeros=self.map is not None)
                at = end
            if at < size and self.map is None:
                yield Piece(at, size - at, None)

    def _packed(self) -> Generator[Piece, None, None]:
        at = 0
        wanted = iter(
            [(one.begin, one.end) for one in self.map.ranges] if self.map is not None else [(0, 1 << 62)]
        )
        begin, end = next(wanted, (1 << 62, 1 << 62))
        for data in unpacked(self.path):
            # A chunk may hold several ranges, and a range several chunks.
            left = memoryview(data)
            while left:
                if at < begin:
                    skipped = min(len(left), begin - at)
                    left, at = left[skipped:], at + skipped
                    continue
                taken = min(len(left), end - at)
                yield _piece(at, bytes(left[:taken]), keeps_zeros=self.map is not None)
                left, at = left[taken:], at + taken
                if at == end:
                    begin, end = next(wanted, (1 << 62, 1 << 62))
        if self.map is not None and at != self.map.image_bytes:
            raise _damaged(
                self.path, f"it unpacks to {at} bytes, and its map tells of {self.map.image_bytes}"
            )


def open_source(path: Path, *, whole: bool = False) -> Source:
    """Look at an image and at what is next to it; with `whole` a block map is not asked for.

    Raises:
        PlanError: there is no such image, or what unpacks it is not installed.
        InputError: the block map is damaged, or is that of another image.
    """
    if not path.is_file():
        raise PlanError(f"{path}: there is no such image", "", f"{program()} artifacts lists those of a tree")
    check_unpacker(path)
    size = told_bytes(path)
    if size == 0:
        raise PlanError(f"{path} is empty", "", "make it again")
    is_packed = bool(packing_of(path))
    least = least_bytes(path) if is_packed else 0
    found = None if whole else find_map(path)
    blocks, notice = (read_map(found), "") if found is not None else (None, "")
    if found is not None and blocks is not None and _is_stale(path, found, blocks):
        notice = (
            f"{found.name} has no checksums and is older than {path.name}: it is not used, all is written"
        )
        blocks = None
    if blocks is not None and size is not None and blocks.image_bytes != size:
        raise _other_map(found, f"of one with {blocks.image_bytes} bytes; {path.name} has {size}")
    return Source(
        path,
        size if blocks is None else blocks.image_bytes,
        blocks,
        _told_digest(path),
        is_packed,
        found if blocks is not None else None,
        least,
        notice,
    )


def check_head(source: Source, *, force: bool = False) -> None:
    """Check that the first bytes are those of a disk image; with `force` only that they decompress.

    Raises:
        PlanError: it is something else, which is named.
        InputError: it is damaged.
    """
    with contextlib.closing(unpacked(source.path, piece_bytes=HEAD_BYTES)) as pieces:
        head = next(pieces, b"")
    kind = "" if force else not_an_image(head, source.known_bytes or len(head))
    if kind:
        raise PlanError(
            f"{source.path} is not a disk image",
            f"it holds {kind}",
            "name the image, extracted from its archive; --force writes it as it is",
        )


def check_map(source: Source) -> None:
    """Compare an image with its block map before anything is written.

    All of an image that is not compressed is compared, else its first MAP_CHECK_BYTES. Raises InputError.
    """
    if source.map is None or not any(one.digest for one in source.map.ranges):
        return
    try:
        with contextlib.closing(source.pieces()) as checked:
            for piece in checked:
                if source.is_packed and piece.start > MAP_CHECK_BYTES:
                    return
    except InputError as error:
        raise _other_map(source.map_path, error.details) from error


def _is_stale(image: Path, file: Path, blocks: BlockMap) -> bool:
    """Return whether nothing says that a map is that of an image which was changed after it."""
    return not any(one.digest for one in blocks.ranges) and file.stat().st_mtime < image.stat().st_mtime


def _other_map(file: Path | None, details: str) -> InputError:
    return InputError(
        f"{file} is the map of another image", details, "remove it, or write all of the image: --whole"
    )


def check_digest(source: Source, on_bytes: Callable[[int], None]) -> None:
    """Check the file against the `.sha256` next to it, before anything is written.

    A map has checksums of its own for an unpacked image. Raises InputError.
    """
    if not source.digest or (source.map is not None and not source.is_packed):
        return
    found = sha256_of(source.path, on_bytes)
    if found != source.digest:
        raise _damaged(
            source.path, f"its SHA-256 is {found}, and {source.path.name}.sha256 says {source.digest}"
        )


def _piece(start: int, data: bytes, *, keeps_zeros: bool) -> Piece:
    """Return a piece; one of nothing but zeros is marked as such, unless a map says that it holds data."""
    if not keeps_zeros and not data.strip(b"\0"):
        return Piece(start, len(data), None)
    return Piece(start, len(data), data)


def _checked(pieces: Iterator[Piece], blocks: BlockMap, path: Path) -> Iterator[Piece]:
    """Pass pieces on, and check each range of a map against its checksum."""
    ranges = iter(blocks.ranges)
    now = next(ranges, None)
    state = hashlib.new(blocks.checksum)
    for piece in pieces:
        assert now is not None
        assert piece.data is not None
        state.update(piece.data)
        yield piece
        if piece.start + piece.length == now.end:
            if now.digest and state.hexdigest() != now.digest:
                raise _damaged(
                    path, f"the bytes from {now.begin} to {now.end} are not those of its block map"
                )
            now, state = next(ranges, None), hashlib.new(blocks.checksum)
    if now is not None:
        raise _damaged(path, f"it ends before byte {now.end}")


def _told_digest(path: Path) -> str:
    """Return what the `.sha256` next to a file says of it, empty when there is none."""
    try:
        text = path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    first = text.split()[:1]
    return first[0].lstrip("\\").lower() if first else ""


def _read_all(file: IO[bytes], count: int, start: int) -> bytes:
    parts: list[bytes] = []
    while count and (data := os.pread(file.fileno(), count, start)):
        parts.append(data)
        count, start = count - len(data), start + len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged", why, "make it or fetch it again")
