"""What a fetched archive is by its first bytes, and its bytes unpacked, piece by piece."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import shutil
import subprocess
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from stalker.errors import InputError, PlanError
from stalker.image.tarheader import BLOCK, check_block

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from stalker.model.creation import Via

PIECE_BYTES = 1 << 20

SIGNS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"LZIP", "lzip"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x5d\x00\x00", "lzma"),
    (b"!<arch>\n", "an ar archive"),
    (b"\x7fELF", "a program"),
)
WANTED = {"tar": "tar", "gztar": "gzip", "bztar": "bzip2", "xztar": "xz", "zstdtar": "zstd", "zip": "zip"}
"""What an archive is by its first bytes, for each `via`."""

VIA_OF = {what: via for via, what in WANTED.items()}


class PackingError(Exception):
    """What is packed cannot be unpacked; the text says why."""


DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, PackingError)


def damaged(called: str, why: str) -> InputError:
    """Return the error of an archive that cannot be read to its end."""
    return InputError(f"{called} is damaged", why, "fetch it again, or make it again")


def changed(called: str) -> InputError:
    """Return the error of an archive that is not what it was a moment ago."""
    return InputError(f"{called} was changed while it was read", "", "run it again")


@contextlib.contextmanager
def told_of(called: str) -> Iterator[None]:
    """Say which archive it is that cannot be read."""
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
    """Say what a file is by its first 512 bytes."""
    for sign, what in SIGNS:
        if head.startswith(sign):
            return what
    if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:
        return "zstd"
    if is_tar(head):
        return "tar"
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith((b"<?xml", b"{")):
        return "a document"
    return "text" if head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head) else "no archive"


def is_tar(head: bytes) -> bool:
    """Say whether this is a tar's first block: a header, or the zeros that end an empty one."""
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
    with _opened(path, via) as stream:
        while data := _fill(stream):
            if not count and via != "tar" and not is_tar(data):
                raise PackingError(f"there is no tar in it, it holds {_a(kind_of(data[:BLOCK]))}")
            count += len(data)
            if max_bytes is not None and count > max_bytes:
                raise PackingError(f"it unpacks to more than {max_bytes} bytes")
            yield data
    if not count:
        raise PackingError("it is empty once unpacked")


@contextlib.contextmanager
def _opened(path: Path, via: Via) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as opened:
        match via:
            case "gztar":
                yield cast("IO[bytes]", opened.enter_context(gzip.open(path)))
            case "bztar":
                yield cast("IO[bytes]", opened.enter_context(bz2.open(path)))
            case "xztar":
                yield cast("IO[bytes]", opened.enter_context(lzma.open(path)))
            case "zstdtar":
                yield opened.enter_context(_zstd(path))
            case _:
                yield opened.enter_context(path.open("rb", buffering=0))


@contextlib.contextmanager
def _zstd(path: Path) -> Iterator[IO[bytes]]:
    """Give the output of zstd; its failure comes when all of the output was read."""
    if shutil.which("zstd") is None:
        raise PlanError(f"{path.name} cannot be unpacked", "zstd is not installed", "apt-get install zstd")
    process = subprocess.Popen(
        ["zstd", "-dcq", "--long=31", "--", str(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process.stdout
        said = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait():
            raise PackingError(said.replace(f"{path} : ", "") or f"zstd ended with {process.returncode}")
    finally:
        process.stdout.close()
        process.stderr.close()
        process.kill()
        process.wait()


def _fill(stream: IO[bytes]) -> bytes:
    """Read a whole piece, shorter only at the end: what a pipe gives at once is small."""
    data = stream.read(PIECE_BYTES)
    if not data or len(data) == PIECE_BYTES:
        return data
    parts = [data]
    left = PIECE_BYTES - len(data)
    while left and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _a(kind: str) -> str:
    """Return it with an article where it is a name."""
    if kind in {"tar", "zip"}:
        return f"a {kind}"
    if kind.startswith(("a ", "an ", "no ")) or kind == "text":
        return kind
    return f"packed with {kind}"
