"""How large a packed file is once unpacked, as far as the bytes at its ends tell; nothing is unpacked.

`read(at, count)` gives bytes of the file, from a disk or from a server; fewer than asked for stand for its
end. What is not as it should be tells nothing: None, not an error.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from stalker.io.compression.magic import ZSTD_MAGIC, compression_in

Read = Callable[[int, int], bytes]

ZSTD_HEAD_BYTES = 18
"""The longest head of a frame."""

_XZ_FOOTER = b"YZ"
_XZ_MOST_INDEX_BYTES = 16 << 20
_GZIP_MODULO = 1 << 32


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A size; when it is not exact it is the least that it can be."""

    size_bytes: int
    is_exact: bool = True


def unpacked_size(size_bytes: int, read: Read, *, image_only: bool = False) -> Unpacked | None:
    """Return how large a packed file of `size_bytes` is unpacked, None when it does not tell or is not packed.

    What it is packed with is known from its first bytes. A zip tells of all its files together, with
    `image_only` of the one disk image in it.
    """
    head = read(0, ZSTD_HEAD_BYTES)
    kind = compression_in(head)
    if kind == "xz":
        found = xz_size(size_bytes, read)
        return None if found is None else Unpacked(found)
    if kind == "zst":
        found = zstd_size(head, size_bytes)
        return None if found is None else Unpacked(found, is_exact=False)
    if kind == "gz":
        found = gzip_size(size_bytes, read(size_bytes - 4, 4)) if size_bytes >= 18 else None
        return None if found is None else Unpacked(found, is_exact=False)
    if kind == "zip":
        members = zip_members(size_bytes, read)
        if members is None:
            return None
        images = images_in(members) if image_only else members
        return Unpacked(sum(one.file_size for one in images)) if not image_only or len(images) == 1 else None
    return None


def zstd_size(head: bytes, file_bytes: int) -> int | None:
    """Return the size that the first frame of Zstandard tells. Source: RFC 8878, 3.1.1.1.

    None where it is less than what is packed: then other frames follow.
    """
    if head[:4] != ZSTD_MAGIC or len(head) < ZSTD_HEAD_BYTES or file_bytes < ZSTD_HEAD_BYTES:
        return None
    flags = head[4]
    is_single = flags >> 5 & 1
    at = 5 + (0 if is_single else 1) + (0, 1, 2, 4)[flags & 3]
    length = (is_single, 2, 4, 8)[flags >> 6]
    if not length:
        return None
    told = int.from_bytes(head[at : at + length], "little") + (256 if length == 2 else 0)
    return told if _can_be(told, file_bytes) else None


def gzip_size(file_bytes: int, trailer: bytes) -> int | None:
    """Return the size that the last four bytes of a gzip file tell: modulo 4 GiB, of its last member alone.

    None where it is less than what is packed: then it surely is one of the two. Source: RFC 1952, 2.3.1.
    """
    if len(trailer) != 4 or file_bytes >= _GZIP_MODULO:
        return None
    told = int.from_bytes(trailer, "little")
    return told if _can_be(told, file_bytes) else None


def _can_be(told: int, file_bytes: int) -> bool:
    """Return whether a packed file can unpack to so little: what cannot be packed grows by heads and a name."""
    return file_bytes <= told + told // 1000 + 1024


def xz_size(size_bytes: int, read: Read) -> int | None:
    """Return the size that the indexes of an xz file tell, of all its streams. Source: xz file format 1.2, 4."""
    end, total = size_bytes, 0
    while end > 0:
        footer = read(end - 12, 12) if end >= 32 and not end % 4 else b""
        while footer[-4:] == bytes(4) and end > 32:  # padding between streams
            end -= 4
            footer = read(end - 12, 12)
        if len(footer) != 12 or footer[10:] != _XZ_FOOTER:
            return None
        if zlib.crc32(footer[4:10]).to_bytes(4, "little") != footer[:4]:
            return None
        index_bytes = (int.from_bytes(footer[4:8], "little") + 1) * 4
        if index_bytes > min(_XZ_MOST_INDEX_BYTES, end - 24):
            return None
        sizes = _xz_index(read(end - 12 - index_bytes, index_bytes), index_bytes)
        if sizes is None:
            return None
        packed_bytes, unpacked_bytes = sizes
        total += unpacked_bytes
        end -= 12 + index_bytes + packed_bytes + 12
    return total if end == 0 else None


def _xz_index(index: bytes, size_bytes: int) -> tuple[int, int] | None:
    """Return how much its blocks take and what they unpack to; None when it is damaged."""
    body, crc = index[:-4], index[-4:]
    if len(index) != size_bytes or body[:1] != b"\0" or zlib.crc32(body).to_bytes(4, "little") != crc:
        return None
    at, numbers = 1, []
    try:
        count, at = _xz_number(body, at)
        if count * 2 > len(body):
            return None
        for _ in range(count * 2):
            number, at = _xz_number(body, at)
            numbers.append(number)
    except IndexError:
        return None
    return sum((one + 3) // 4 * 4 for one in numbers[::2]), sum(numbers[1::2])


def _xz_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def zip_members(size_bytes: int, read: Read) -> list[zipfile.ZipInfo] | None:
    """Return the files that the directory at the end of a zip lists, None when it cannot be read."""
    try:
        with zipfile.ZipFile(io.BufferedReader(_Seekable(size_bytes, read), 1 << 16)) as archive:
            return [one for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return None


def images_in(files: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the files of a zip that can be its disk image: those named so in any case, else all.

    What macOS adds about its files, `__MACOSX/` and `._*`, is left out.
    """
    own = [one for one in files if not _is_of_macos(one.filename)]
    return [one for one in own if one.filename.lower().endswith((".img", ".iso", ".raw"))] or own


def _is_of_macos(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


class _Seekable(io.RawIOBase):
    """`read(at, count)` as a file."""

    def __init__(self, size_bytes: int, read: Read) -> None:
        super().__init__()
        self._size = size_bytes
        self._read = read
        self._at = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """Return where it stands."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what fits."""
        data = self._read(self._at, min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
