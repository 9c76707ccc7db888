"""Packed files read as what was packed into them: the one way of unpacking on this host.

A `zst` is unpacked by zstd, an `xz` by xz where it is installed, for that uses all cores; the rest by Python.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
import threading
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from stalker.errors import InputError, PlanError
from stalker.io.compression.magic import compression_in
from stalker.io.compression.size import images_in, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from stalker.io.compression.magic import Packing

PIECE_BYTES = 4 << 20

ENDINGS: dict[str, Packing] = {
    ".zst": "zst",
    ".xz": "xz",
    ".gz": "gz",
    ".tgz": "gz",
    ".bz2": "bz2",
    ".zip": "zip",
}

PROGRAMS: dict[Packing, tuple[str, ...]] = {
    "zst": ("zstd", "-q", "-d", "-c", "--long=31"),
    "xz": ("xz", "-d", "-c", "-T0"),
}
"""The zstd of Python is newer than our oldest Python; xz uses all cores."""

ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_METHOD_NAMES = {9: "deflate64", 93: "zstd", 95: "xz", 98: "ppmd", 99: "aes"}
"""Of APPNOTE.TXT, 4.4.5, by PKWARE."""

DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file raises; an OSError with a number is the host's, and not of the file."""


class DecompressionError(OSError):
    """A program could not decompress its input; the text says why."""


def packing_of(path: Path) -> Packing:
    """Return how a file is packed, empty for one that is not. Raises OSError.

    Its first bytes are believed, whatever its name is; a name that ends as a packed file's is believed where
    they tell nothing. A boot sector is that of a raw disk, unless name and bytes agree on another thing.
    """
    none: Packing = ""
    with path.open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), 512, 0)
    named = ENDINGS.get(path.suffix.lower(), none)
    found = compression_in(head)
    if found and found == named:
        return found
    return none if head[510:] == b"\x55\xaa" else found or named


def check_unpacker(path: Path) -> None:
    """Raise an error for a file that cannot be decompressed here, before any of it is.

    Raises:
        PlanError: a program is not installed.
        InputError: a zip does not have exactly one image, or one that Python does not decompress.
    """
    packing = packing_of(path)
    check_installed(packing, str(path))
    if packing == "zip":
        _check_zip(path)


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
    except (*DAMAGE, ValueError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged(path, str(error)) from error
    images = images_in(members)
    if len(images) != 1:
        names = ", ".join(one.filename for one in images[:8])
        raise InputError(
            f"{path} holds {'several images' if images else 'no image'}",
            names,
            "extract the image, and name it",
        )
    (image,) = images
    if image.flag_bits & 1:
        raise InputError(f"{path}: {image.filename} is encrypted", "", "extract it with its password: 7z x")
    if image.compress_type not in ZIP_METHODS:
        method = _METHOD_NAMES.get(image.compress_type, "")
        raise InputError(
            f"{path}: {image.filename} is compressed by method {image.compress_type} {method}".rstrip(),
            "deflate, bzip2 and lzma can be read",
            "extract it: 7z x",
        )


def check_installed(packing: Packing, called: str) -> None:
    """Raise PlanError when what decompresses the file `called` is not installed."""
    if packing == "zst" and not shutil.which("zstd"):
        raise PlanError(f"{called} cannot be unpacked", "zstd is not installed", "apt-get install zstd")


def told_bytes(path: Path) -> int | None:
    """Return how large the image in a file is, None where a packed one does not tell.

    A `zst` of several frames tells of its first one alone; what a `gz` tells holds for none above 4 GiB.
    """
    packing, size = packing_of(path), path.stat().st_size
    if not packing:
        return size
    with path.open("rb", buffering=0) as file:
        found = unpacked_size(size, lambda at, count: os.pread(file.fileno(), count, at), image_only=True)
    return None if found is None or packing == "gz" else found.size_bytes


def least_bytes(path: Path) -> int:
    """Return the least size that a compressed image can have by what its ends say, 0 for unknown."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        found = unpacked_size(size, lambda at, count: os.pread(file.fileno(), count, at), image_only=True)
    return 0 if found is None else found.size_bytes


def unpacked(
    path: Path, *, piece_bytes: int = PIECE_BYTES, on_read: Callable[[int], None] = lambda _count: None
) -> Generator[bytes, None, None]:
    """Yield what is in a file, unpacked, in pieces of one size; a generator to be closed.

    `on_read` receives how many bytes of the file itself were taken since the last time; in the end all of them.

    Raises:
        InputError: it is damaged or cut.
        PlanError: what unpacks it is not installed.
    """
    check_unpacker(path)
    packing = packing_of(path)
    size, told = path.stat().st_size, 0
    if packing and not size:
        raise damaged(path, "it is empty")
    with path.open("rb") as file:
        try:
            with decompressed(file, packing) as stream:
                while data := read_piece(stream, piece_bytes):
                    # A program shares the place in the file with us. A zip is looked at from its end.
                    at = max(told, min(os.lseek(file.fileno(), 0, os.SEEK_CUR), size))
                    on_read(at - told)
                    told = at
                    yield data
        except (*DAMAGE, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise damaged(path, str(error)) from error
        except (NotImplementedError, RuntimeError) as error:
            if packing != "zip":
                raise
            raise damaged(path, str(error)) from error  # a password, or a way of packing of its own
    on_read(size - told)


def damaged(path: Path, why: str) -> InputError:
    """Return the error for a file that is not what it was."""
    return InputError(f"{path} is damaged: it could not be unpacked", why, "make it or fetch it again")


@contextlib.contextmanager
def decompressed(file: IO[bytes], packing: Packing) -> Iterator[IO[bytes]]:
    """Give what an open file decompresses to, from its beginning; one that is not compressed as it is.

    Reading may raise any of DAMAGE. The file need not be one of the host: a member of a tar is fed to a program.

    Raises:
        DecompressionError: a program failed; known when all of its output was read.
        FileNotFoundError: the program is not installed; see `check_installed`.
    """
    argv = PROGRAMS.get(packing)
    if argv is not None and (packing == "zst" or shutil.which(argv[0])):
        with _program(argv, file) as stream:
            yield stream
    elif packing == "xz":
        with lzma.open(file) as packed:
            yield cast("IO[bytes]", packed)
    elif packing == "gz":
        with gzip.open(file) as packed:
            yield cast("IO[bytes]", packed)
    elif packing == "bz2":
        with bz2.open(file) as packed:
            yield cast("IO[bytes]", packed)
    elif packing == "zip":
        with zipfile.ZipFile(file) as archive, archive.open(_image_in(archive)) as member:
            yield member
    else:
        yield file


def _image_in(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    images = images_in([one for one in archive.infolist() if not one.is_dir()])
    if len(images) != 1:
        raise ValueError(f"it holds {len(images) or 'no'} images, and one is wanted: unzip it first")
    return images[0]


@contextlib.contextmanager
def _program(argv: tuple[str, ...], file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give the output of a program; its failure is that of the file."""
    source = file if _is_of_host(file) else subprocess.PIPE
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            argv, stdin=source, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        assert process.stdout is not None
        feeder = None
        if process.stdin is not None:
            feeder = threading.Thread(target=_feed, args=(file, process.stdin), name=argv[0], daemon=True)
            feeder.start()
        try:
            yield process.stdout
            if process.wait():
                log.seek(0)
                text = log.read().decode("utf-8", "replace").strip()
                raise DecompressionError(text or f"{argv[0]} ended with {process.returncode}")
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
            if feeder is not None:
                feeder.join()


def _is_of_host(file: IO[bytes]) -> bool:
    try:
        file.fileno()
    except (OSError, AttributeError):  # a member of an archive
        return False
    return True


def _feed(file: IO[bytes], sink: IO[bytes]) -> None:
    with contextlib.suppress(OSError), sink:  # a program hangs up on what is damaged
        while data := file.read(PIECE_BYTES):
            sink.write(data)


def read_piece(stream: IO[bytes], piece_bytes: int) -> bytes:
    """Read a whole piece, shorter only at the end: what a pipe gives at once is small."""
    parts: list[bytes] = []
    left = piece_bytes
    while left and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)
