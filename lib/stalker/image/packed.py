"""Packed files read as what was packed into them: the one way of unpacking on this host.

A `zst` is unpacked by zstd, an `xz` by xz where it is installed, for that uses all cores; the rest by Python.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Literal, cast

from stalker.errors import InputError, PlanError
from stalker.model.packed import GZIP_MAGIC, XZ_MAGIC, ZIP_MAGICS, ZSTD_MAGIC, images_in, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

PIECE_BYTES = 4 << 20

Packing = Literal["", "zst", "xz", "gz", "zip"]
"""Empty for what is not packed."""

ENDINGS: dict[str, Packing] = {".zst": "zst", ".xz": "xz", ".gz": "gz", ".tgz": "gz", ".zip": "zip"}
MAGICS: dict[Packing, tuple[bytes, ...]] = {
    "zst": (ZSTD_MAGIC, *(bytes([code]) + b"\x2a\x4d\x18" for code in range(0x50, 0x60))),
    "xz": (XZ_MAGIC,),
    "gz": (GZIP_MAGIC,),
    "zip": ZIP_MAGICS,
}
"""What a packed file begins with; a `zst` also with a frame that is passed over (RFC 8878, 3.1.2)."""

PROGRAMS: dict[Packing, tuple[str, ...]] = {
    "zst": ("zstd", "-q", "-d", "-c", "--long=31"),
    "xz": ("xz", "-d", "-c", "-T0"),
}


def packing_of(path: Path) -> Packing:
    """Return how a file is packed, empty for one that is not. Raises OSError.

    Its first bytes are believed, whatever its name is; a name that ends as a packed file's is believed where
    they tell nothing. A boot sector is that of a raw disk, unless name and bytes agree on another thing.
    """
    none: Packing = ""
    with path.open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), 512, 0)
    named = ENDINGS.get(path.suffix.lower(), none)
    found = next((kind for kind, magics in MAGICS.items() if head.startswith(magics)), none)
    if found and found == named:
        return found
    return none if head[510:] == b"\x55\xaa" else found or named


def check_unpacker(path: Path) -> None:
    """Raise PlanError when what unpacks a file is not installed."""
    if packing_of(path) == "zst" and not shutil.which("zstd"):
        raise PlanError(f"{path} cannot be unpacked", "zstd is not installed", "apt-get install zstd")


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


def unpacked(
    path: Path, *, piece_bytes: int = PIECE_BYTES, on_read: Callable[[int], None] = lambda _count: None
) -> Generator[bytes, None, None]:
    """Yield what is in a file, unpacked, in pieces of one size; a generator to be closed.

    `on_read` is told how many bytes of the file itself were taken since the last time; in the end all of them.

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
            with _opened(packing, file, path) as stream:
                while data := _fill(stream, piece_bytes):
                    # A program shares the place in the file with us. A zip is looked at from its end.
                    at = max(told, min(os.lseek(file.fileno(), 0, os.SEEK_CUR), size))
                    on_read(at - told)
                    told = at
                    yield data
        except (EOFError, ValueError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
            raise damaged(path, str(error)) from error
        except gzip.BadGzipFile as error:
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
def _opened(packing: Packing, file: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """Give the stream of what was packed."""
    argv = PROGRAMS.get(packing)
    if argv is not None and shutil.which(argv[0]):
        with _program(argv, file, path) as stream:
            yield stream
    elif packing == "xz":
        with lzma.open(file) as packed:
            yield cast("IO[bytes]", packed)
    elif packing == "gz":
        with gzip.open(file) as packed:
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
def _program(argv: tuple[str, ...], file: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """Give the output of a program; its failure is that of the file."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, stdin=file, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait():
                said.seek(0)
                text = said.read().decode("utf-8", "replace").strip()
                raise damaged(path, text or f"{argv[0]} ended with {process.returncode}")
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


def _fill(stream: IO[bytes], piece_bytes: int) -> bytes:
    """Read a whole piece, shorter only at the end: what a pipe gives at once is small."""
    parts: list[bytes] = []
    left = piece_bytes
    while left and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)
