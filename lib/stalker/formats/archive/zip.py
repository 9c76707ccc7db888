"""The members of a zip: what its directory says of them, and what is in them, unpacked and counted here.

zipfile reads the directory alone: it hands out bzip2 and LZMA without bounds, and cuts off silently what is
longer than it should be.

Sources: PKWARE, APPNOTE.TXT 6.3.10, 4.4 and 5.8; Info-ZIP, extra fields 0x5455 and 0x7075.
"""

from __future__ import annotations

import bz2
import calendar
import contextlib
import lzma
import stat
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from stalker.formats.archive.members import PATH_MAX, Raw, shown
from stalker.formats.archive.streams import PIECE_BYTES, PackingError, changed, damaged, told_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stalker.formats.archive.members import Gathering, Member
    from stalker.formats.fs.entry import Kind

LOCAL = struct.Struct("<4s22sHH")
LZMA_HEAD_BYTES = 9
"""A version, the length of the properties, and these."""

LZMA_MEMORY_BYTES = 1 << 30
ENCRYPTED, PATCHED, ENDS_BY_MARK, UTF8 = 0x41, 0x20, 0x02, 0x800
DOS, UNIX = 0, 3
OLDEST = "cp437"
"""What names are in without the mark of UTF-8 (4.4.4, D.1)."""

TIMES, UNICODE_NAME = 0x5455, 0x7075
METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 98: "PPMd"}


def gather_zip(path: Path, called: str, gathering: Gathering, encoding: str = "") -> None:
    """Read the directory of a zip and give each member to `gathering`.

    Names that are not marked as UTF-8 are in `encoding`. Where it is empty they are UTF-8, if a Unix wrote what
    can be UTF-8, else cp437, and a notice shows one of them.

    Raises:
        InputError: it is damaged.
    """
    with path.open("rb") as file:
        guessed: list[str] = []
        for place, info in enumerate(_directory(file, called)):
            try:
                name, is_guessed = _named(info, encoding)
            except UnicodeError:
                gathering.refuse(
                    info.orig_filename, f"its name is not marked as UTF-8, and is not {encoding}"
                )
                continue
            if is_guessed:
                guessed.append(name)
            raw = _raw(place, info, name)
            unreadable = _unreadable(info)
            if unreadable:
                gathering.refuse(raw.name, unreadable)
                continue
            if raw.kind == "link":
                try:
                    raw = _link(file, info, raw, called, encoding)
                except UnicodeError:
                    gathering.refuse(name, f"it is a link to a name that is not {encoding}")
                    continue
            gathering.add(raw)
    if guessed:
        more = f", and {len(guessed) - 1} more" if len(guessed) > 1 else ""
        gathering.notice(
            f"warning: the name {shown(guessed[0])} is not marked as UTF-8 and was read as {OLDEST}{more}; "
            "where that is wrong, say what it is by `encoding`: utf-8, cp932, cp866, ..."
        )


def zip_contents(
    path: Path, called: str, wanted: Mapping[int, Member]
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Yield those of the members that are wanted, by number, and what is in each.

    Raises:
        InputError: it is damaged, or not what it was when its members were gathered.
    """
    with path.open("rb") as file:
        infos = _directory(file, called)
        for place, member in sorted(wanted.items()):
            if place >= len(infos) or infos[place].file_size != member.size_bytes:
                raise changed(called)
            yield member, _checked(file, infos[place], member.path, called)


def _directory(file: IO[bytes], called: str) -> list[zipfile.ZipInfo]:
    # zipfile lets out what it stumbles over in a damaged directory.
    stumbles = (struct.error, ValueError, NotImplementedError, OverflowError, RuntimeError, IndexError)
    with told_of(called):
        try:
            archive = zipfile.ZipFile(file)
        except stumbles as error:
            raise PackingError(str(error)) from error
        return archive.infolist()


def _raw(place: int, info: zipfile.ZipInfo, name: str) -> Raw:
    mode = info.external_attr >> 16
    kind, other = _kind(name, mode)
    permissions = stat.S_IMODE(mode) or (0o755 if kind == "folder" else 0o644)
    size = info.file_size if kind == "file" else 0
    return Raw(name, kind, place, size, permissions, mtime_s=_mtime(info), other=other)


def _kind(name: str, mode: int) -> tuple[Kind, str]:
    match stat.S_IFMT(mode):
        case stat.S_IFDIR:
            return "folder", ""
        case 0 | stat.S_IFREG:
            return ("folder" if name.endswith("/") else "file"), ""
        case stat.S_IFLNK:
            return "link", ""
        case stat.S_IFIFO:
            return "other", "a pipe"
        case stat.S_IFSOCK:
            return "other", "a socket"
        case _:
            return "other", "a device"


def _unreadable(info: zipfile.ZipInfo) -> str:
    """Return why the data of a member cannot be read."""
    if info.flag_bits & ENCRYPTED:
        return "it is encrypted"
    if info.flag_bits & PATCHED:
        return "it is a patch of another file"
    if info.compress_type in {
        zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
    }:  # fmt: skip
        return ""
    return f"it is packed with {METHODS.get(info.compress_type, f'method {info.compress_type}')}"


def _link(file: IO[bytes], info: zipfile.ZipInfo, raw: Raw, called: str, encoding: str) -> Raw:
    """Return a link with what it says, which is its data. Raises UnicodeError: it is not in `encoding`."""
    if info.file_size > PATH_MAX:
        return Raw(raw.name, "other", raw.number, other=f"a link to more than {PATH_MAX} bytes")
    data = b"".join(_checked(file, info, raw.name, called))
    is_marked = bool(info.flag_bits & UTF8)
    target = data.decode(encoding) if encoding and not is_marked else data.decode("utf-8", "surrogateescape")
    return Raw(raw.name, "link", raw.number, mode=0o777, mtime_s=raw.mtime_s, target=target)


def _named(info: zipfile.ZipInfo, encoding: str) -> tuple[str, bool]:
    """Return a name, and whether it is guessed that it is in cp437. Raises UnicodeError: it is not in `encoding`."""
    name, is_guessed = info.orig_filename, False
    if not info.flag_bits & UTF8 and not name.isascii():
        stored = name.encode(OLDEST)
        name, is_guessed = _decoded(info, stored, encoding)
    # Some programs for Windows write its own separator, against the rules.
    return (name.replace("\\", "/") if info.create_system == DOS else name), is_guessed


def _decoded(info: zipfile.ZipInfo, stored: bytes, encoding: str) -> tuple[str, bool]:
    told = _extra(info, UNICODE_NAME)
    if len(told) > 5 and int.from_bytes(told[1:5], "little") == zlib.crc32(stored):
        with contextlib.suppress(UnicodeError):
            return told[5:].decode("utf-8"), False
    if encoding:
        return stored.decode(encoding), False
    if info.create_system == UNIX:
        with contextlib.suppress(UnicodeError):
            return stored.decode("utf-8"), False
    return stored.decode(OLDEST), True


def _mtime(info: zipfile.ZipInfo) -> int:
    """Return the time in UTC where the member tells it, else its local time as such."""
    told = _extra(info, TIMES)
    if len(told) >= 5 and told[0] & 1:
        return int.from_bytes(told[1:5], "little", signed=True)
    try:
        return calendar.timegm(info.date_time)
    except ValueError:
        return 0


def _extra(info: zipfile.ZipInfo, wanted: int) -> bytes:
    """Return the data of an extra field, empty where there is none."""
    at = 0
    while at + 4 <= len(info.extra):
        kind, length = struct.unpack_from("<HH", info.extra, at)
        if kind == wanted:
            return info.extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _checked(file: IO[bytes], info: zipfile.ZipInfo, name: str, called: str) -> Iterator[bytes]:
    """Yield what is in a member, checked against its size and checksum."""
    count = crc = 0
    with told_of(called):
        for data in _unpacked(file, info):
            count += len(data)
            if count > info.file_size:
                raise damaged(called, f"{name!r} is longer than the {info.file_size} bytes that are said")
            crc = zlib.crc32(data, crc)
            yield data
    if count != info.file_size:
        raise damaged(called, f"{name!r} has {count} bytes, and {info.file_size} are said")
    if crc != info.CRC:
        raise damaged(called, f"the checksum of {name!r} is wrong")


def _unpacked(file: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    stored = _stored(file, info)
    match info.compress_type:
        case zipfile.ZIP_STORED:
            yield from stored
        case zipfile.ZIP_DEFLATED:
            yield from _inflated(stored)
        case zipfile.ZIP_BZIP2:
            yield from _unpacked_by(bz2.BZ2Decompressor(), stored)
        case _:
            head = b""
            while len(head) < LZMA_HEAD_BYTES:
                head += next(stored, b"") or _ends_early()
            properties, rest = head[4:LZMA_HEAD_BYTES], head[LZMA_HEAD_BYTES:]
            size = -1 if info.flag_bits & ENDS_BY_MARK else info.file_size
            alone = properties + size.to_bytes(8, "little", signed=True)
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY_BYTES)
            yield from _unpacked_by(decompressor, _before(alone + rest, stored))


def _stored(file: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the data of a member as it is in the zip."""
    file.seek(info.header_offset)
    head = file.read(LOCAL.size)
    if len(head) < LOCAL.size or head[:4] != b"PK\x03\x04":
        raise PackingError(f"{info.filename!r} is not where the directory says")
    _, _, name_bytes, extra_bytes = LOCAL.unpack(head)
    at = info.header_offset + LOCAL.size + name_bytes + extra_bytes
    left = info.compress_size
    while left:
        file.seek(at)  # Others may have read in between.
        data = file.read(min(left, PIECE_BYTES)) or _ends_early()
        yield data
        at += len(data)
        left -= len(data)


def _inflated(stored: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    for data in stored:
        left = data
        while left and not decompressor.eof:
            yield decompressor.decompress(left, PIECE_BYTES)
            left = decompressor.unconsumed_tail
    yield decompressor.flush()
    if not decompressor.eof:
        _ends_early()


def _unpacked_by(
    decompressor: bz2.BZ2Decompressor | lzma.LZMADecompressor, stored: Iterator[bytes]
) -> Iterator[bytes]:
    for data in stored:
        left = data
        while not decompressor.eof:
            yield decompressor.decompress(left, PIECE_BYTES)
            left = b""
            if decompressor.needs_input:
                break
    if not decompressor.eof:
        _ends_early()


def _before(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _ends_early() -> bytes:
    raise PackingError("it ends early")
