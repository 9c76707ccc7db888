"""What a fetched archive is by its first bytes, and its bytes unpacked, piece by piece."""

from __future__ import annotations

import contextlib
import zipfile
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.tar.header import BLOCK, check_block
from stalker.io.compression import reader
from stalker.io.compression.magic import compression_in

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from stalker.io.compression.magic import Packing
    from stalker.model.card import Via

PIECE_BYTES = 1 << 20

SIGNS = (
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"LZIP", "lzip"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x5d\x00\x00", "lzma"),
    (b"!<arch>\n", "an ar archive"),
    (b"\x7fELF", "a program"),
)
NAMES: dict[Packing, str] = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "zip": "zip"}
PACKINGS: dict[Via, Packing] = {"gztar": "gz", "bztar": "bz2", "xztar": "xz", "zstdtar": "zst"}
WANTED = {"tar": "tar", "gztar": "gzip", "bztar": "bzip2", "xztar": "xz", "zstdtar": "zstd", "zip": "zip"}
"""What an archive is by its first bytes, for each `via`."""

VIA_OF = {what: via for via, what in WANTED.items()}


class PackingError(Exception):
    """What is packed cannot be unpacked; the text says why."""


DAMAGE = (*reader.DAMAGE, PackingError)


def damaged(called: str, why: str) -> InputError:
    """Return the error of an archive that cannot be read to its end."""
    return InputError(f"{called} is damaged", why, "fetch it again, or make it again")


def changed(called: str) -> InputError:
    """Return the error of an archive that is not what it was a moment ago."""
    return InputError(f"{called} was changed while it was read", "", "run it again")


@contextlib.contextmanager
def told_of(called: str) -> Iterator[None]:
    """Return which archive it is that cannot be read."""
    try:
        yield
    except InputError as error:
        if error.brief.startswith(f"{called} "):
            raise  # It says so already.
        raise damaged(called, error.brief) from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged(called, str(error)) from error


def check_kind(path: Path, via: Via, called: str) -> None:
    """Raise InputError when a file is not what `via` says, and say what it is."""
    with path.open("rb") as file:
        head = file.read(BLOCK)
    found = kind_of(head)
    if not head:
        raise InputError(f"{called} is empty", "", "fetch it again")
    if via == "zip" and found not in VIA_OF and zipfile.is_zipfile(path):
        return  # A program that unpacks itself has its archive at the end.
    if found == WANTED[via]:
        return
    fitting = VIA_OF.get(found)
    raise InputError(
        f"{called} is {_a(found)}, and not {_a(WANTED[via])}",
        f"via: {via} is written for it",
        f"write via: {fitting}" if fitting else "look at what stands behind its URL",
    )


def kind_of(head: bytes) -> str:
    """Return what a file is by its first 512 bytes."""
    if is_tar(
        head
    ):  # first: it has a checksum, and its first bytes are a name that may be any of those below
        return "tar"
    packing = compression_in(head)
    if packing:
        return NAMES[packing]
    for sign, what in SIGNS:
        if head.startswith(sign):
            return what
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith((b"<?xml", b"{")):
        return "a document"
    return "text" if head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head) else "no archive"


def is_tar(head: bytes) -> bool:
    """Return whether this is a tar's first block: a header, or the zeros that end an empty one."""
    if len(head) < BLOCK:
        return False
    try:
        if head[:BLOCK].count(0) != BLOCK:
            check_block(head[:BLOCK])
    except InputError:
        return False
    return True


def unpacked(path: Path, via: Via, max_bytes: int | None = None) -> Generator[bytes, None, None]:
    """Yield the bytes of a tar that may be packed; a generator to be closed.

    Raises:
        PackingError: it holds no tar, or more than `max_bytes`; or one of DAMAGE.
        PlanError: what unpacks it is not installed.
    """
    count = 0
    packing = PACKINGS.get(via, "")
    reader.check_installed(packing, path.name)
    with path.open("rb") as file, reader.decompressed(file, packing) as stream:
        while data := reader.read_piece(stream, PIECE_BYTES):
            if not count and via != "tar" and not is_tar(data):
                raise PackingError(f"there is no tar in it, it holds {_a(kind_of(data[:BLOCK]))}")
            count += len(data)
            if max_bytes is not None and count > max_bytes:
                raise PackingError(f"it unpacks to more than {max_bytes} bytes")
            yield data
    if not count:
        raise PackingError("it is empty once unpacked")


def _a(kind: str) -> str:
    """Return it with an article where it is a name."""
    if kind in {"tar", "zip"}:
        return f"a {kind}"
    if kind.startswith(("a ", "an ", "no ")) or kind == "text":
        return kind
    return f"packed with {kind}"
