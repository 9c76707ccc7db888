r"""A patch: what an injection changes in an image, as a file of its own.

    stalker patch 1\n
    8 bytes              the length of the header, little-endian
    the header           canonical JSON
    the bytes            of all pieces, one after the other
    32 bytes             the SHA-256 of all before

    {"base": {"sha256": "...", "size": 1234}, "id": "...", "made_at": 1700000000, "pieces": [[offset, length], ...],
     "size": 1234, "tool": "stalker 0.3", "was": "SHA-256 of what the base has at the pieces"}

Pieces are sorted, disjoint, whole sectors and inside the image. `was` lets a wrong base be refused after a few
kilobytes; whether it is the right one all over, its digest shows. A patch holds what was injected, secrets too: it is
readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from stalker import __version__
from stalker.errors import InputError
from stalker.io.atomic import replacing
from stalker.io.units import size_text
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stalker.disk.edit.view import Piece

MAGIC = b"stalker patch 1\n"
LENGTH_BYTES, DIGEST_BYTES = 8, 32
HEADER_BYTES = 16 << 20
"""What a header may have at most."""
SECTOR_BYTES = 512
PIECE_BYTES = 1 << 20
_HEX = frozenset("0123456789abcdef")
_KEYS = {"base", "id", "made_at", "pieces", "size", "tool", "was"}


@dataclass(frozen=True, slots=True)
class Base:
    """The image that a patch is for."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Patch:
    """The header of a patch. `id` is made of the pieces and their bytes: equal patches have equal ones."""

    base: Base
    size: int
    pieces: tuple[tuple[int, int], ...]
    was: str
    id: str
    tool: str
    made_at: int

    @property
    def changed_bytes(self) -> int:
        """How many bytes the pieces have."""
        return sum(length for _, length in self.pieces)


def patch_of(base: BinaryIO, pieces: Sequence[Piece], made_at: int) -> Patch:
    """Return the header of a patch of an open image. The image is read whole, for its digest."""
    size = os.fstat(base.fileno()).st_size
    places = tuple((at, len(data)) for at, data in pieces)
    own = hashlib.sha256(json.dumps(places).encode())
    for _, data in pieces:
        own.update(data)
    sha256, was = sha256_of(base, size), was_of(base, places)
    return Patch(Base(sha256, size), size, places, was, own.hexdigest(), f"stalker {__version__}", made_at)


def write_patch(path: Path, patch: Patch, pieces: Sequence[Piece]) -> None:
    """Write a patch: all of it or nothing, readable by its owner alone. Raises OSError."""
    header = _header(patch)
    digest = hashlib.sha256()
    with replacing(path, mode=0o600) as stream:
        for part in (
            MAGIC,
            len(header).to_bytes(LENGTH_BYTES, "little"),
            header,
            *(one for _, one in pieces),
        ):
            digest.update(part)
            stream.write(part)
        stream.write(digest.digest())


@contextlib.contextmanager
def opened_patch(path: Path) -> Iterator[tuple[Patch, Iterator[Piece]]]:
    """Give a patch that is whole, and its pieces, none larger than 1 MiB.

    Raises:
        InputError: it is not a patch, or is damaged.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", str(error), "check the path") from error
    with stream:
        patch, start = _read(stream, path)
        yield patch, _pieces(stream, patch, start)


def check_base(base: BinaryIO, patch: Patch, name: str) -> None:
    """Refuse an image that is surely not the base of a patch: by its size, and by what is at the pieces.

    Raises:
        InputError: it is another one.
    """
    size = os.fstat(base.fileno()).st_size
    if size != patch.base.size:
        kind = "longer" if size > patch.base.size else "shorter"
        raise _another(name, f"it is {kind}: {size} bytes, and the base has {patch.base.size}")
    if was_of(base, patch.pieces) != patch.was:
        raise _another(name, "other bytes are where the patch changes it; it may have been changed already")


def check_digest(base: BinaryIO, patch: Patch, name: str, on_bytes: Callable[[int], None]) -> None:
    """Refuse an image that differs anywhere from the base of a patch. Raises InputError."""
    found = sha256_of(base, patch.base.size, on_bytes)
    if found != patch.base.sha256:
        raise _another(name, f"its SHA-256 is {found}, that of the base {patch.base.sha256}")


def sha256_of(stream: BinaryIO, size: int, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """Return the digest of the first bytes of an open file."""
    return _digest(stream, [(0, size)], on_bytes)


def was_of(stream: BinaryIO, places: Sequence[tuple[int, int]]) -> str:
    """Return the digest of what an open file has at these places."""
    return _digest(stream, places, lambda _: None)


def _digest(stream: BinaryIO, places: Sequence[tuple[int, int]], on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    for start, length in places:
        at, end = start, start + length
        while at < end and (data := os.pread(stream.fileno(), min(PIECE_BYTES, end - at), at)):
            digest.update(data)
            on_bytes(len(data))
            at += len(data)
    return digest.hexdigest()


def _header(patch: Patch) -> bytes:
    return json.dumps(asdict(patch), sort_keys=True, separators=(",", ":")).encode()


def _read(stream: BinaryIO, path: Path) -> tuple[Patch, int]:
    """Return a header, and where the bytes begin. Raises InputError."""
    start = len(MAGIC) + LENGTH_BYTES
    head = stream.read(start)
    if head[: len(MAGIC)] != MAGIC:
        raise InputError(
            f"{path} is not a patch", "it does not begin as one", f"make one: {program()} image patch"
        )
    length = int.from_bytes(head[len(MAGIC) :], "little")
    size = os.fstat(stream.fileno()).st_size
    if length > HEADER_BYTES or start + length + DIGEST_BYTES > size:
        raise _damaged(path, "it is cut short")
    text = stream.read(length)
    patch = _patch(text)
    if patch is None or _header(patch) != text:
        raise _damaged(path, "its header is invalid")
    if (problem := _problem(patch)) or start + length + patch.changed_bytes + DIGEST_BYTES != size:
        raise _damaged(path, problem or f"it has {size} bytes, which is not what its header says")
    found = sha256_of(stream, size - DIGEST_BYTES)
    if bytes.fromhex(found) != os.pread(stream.fileno(), DIGEST_BYTES, size - DIGEST_BYTES):
        raise _damaged(path, "its digest is wrong")
    return patch, start + length


def _patch(text: bytes) -> Patch | None:
    """Return a header, None where something is missing or of the wrong type."""
    try:
        found: dict[str, Any] = json.loads(text)
        base = found["base"]
        pieces = tuple((at, length) for at, length in found["pieces"])
        patch = Patch(**{**found, "base": Base(**base), "pieces": pieces})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = [patch.base.size, patch.size, patch.made_at, *(one for piece in pieces for one in piece)]
    digests = [patch.base.sha256, patch.was, patch.id]
    are_sound = (
        all(type(one) is int and one >= 0 for one in numbers)
        and all(isinstance(one, str) and len(one) == 64 and set(one) <= _HEX for one in digests)
        and isinstance(patch.tool, str)
    )
    return patch if are_sound and set(found) == _KEYS else None


def _problem(patch: Patch) -> str:
    """Return what is wrong with the places, empty for nothing."""
    if patch.size != patch.base.size:
        return "it changes the size of the image"
    end = 0
    for at, length in patch.pieces:
        is_end = at + length == patch.size
        if at < end or not length or at % SECTOR_BYTES or (length % SECTOR_BYTES and not is_end):
            return "its pieces are not sorted, disjoint and whole sectors"
        end = at + length
    return "a piece is outside of the image" if end > patch.size else ""


def _pieces(stream: BinaryIO, patch: Patch, start: int) -> Iterator[Piece]:
    for at, length in patch.pieces:
        for done in range(0, length, PIECE_BYTES):
            count = min(PIECE_BYTES, length - done)
            yield at + done, os.pread(stream.fileno(), count, start + done)
        start += length


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged", why, f"make it again: {program()} image patch")


def _another(name: str, why: str) -> InputError:
    return InputError(f"{name} is not the base of this patch", why, "take the image that it was made for")


def lines_of(patch: Patch) -> list[str]:
    """Return what a patch is, in words; nothing of its content."""
    return [
        f"base      sha256:{patch.base.sha256}, {patch.base.size} bytes",
        f"changes   {patch.changed_bytes} bytes ({size_text(patch.changed_bytes)}) in {len(patch.pieces)} pieces",
        f"id        {patch.id}",
        f"made      by {patch.tool}, at {patch.made_at}",
    ]
