"""Names in a FAT: the valid ones, when two are equal, and the short name that each long one has.

Sources: Microsoft, FAT32 File System Specification 1.03 (long names); Linux, `fs/fat/namei_vfat.c`, for what
is refused. A name whose base and whose extension are each of one case alone needs no long name: two bits of
Windows NT say which is lower case, and Linux and mtools read them too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

NAME_UNITS = 255
UNITS_EACH = 13
"""How many UTF-16 units of a long name one entry of a directory holds."""
LONG = 0x0F
LOWER_BASE = 0x08
LOWER_EXTENSION = 0x10
TAILS = 999_999

_REFUSED = frozenset('"*/:<>?\\|')
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
_LONG_ENTRY = struct.Struct("<B10sBBB12sH4s")
_LAST = 0x40
_CODE_PAGE = "cp437"
"""What short names of others are read in: the default of Linux. Ours are ASCII."""


def trouble_of(name: str) -> str:
    """Return why a FAT cannot hold this name; empty when it can."""
    bad = sorted({letter for letter in name if letter in _REFUSED or letter < " " or letter == "\x7f"})
    if bad:
        return f"it has {' '.join(repr(letter)[1:-1] for letter in bad)}"
    if name[-1:] in {".", " "}:
        return "it ends in a dot or blank"
    try:
        units = len(name.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return f"it has {units} UTF-16 units, {NAME_UNITS} fit" if units > NAME_UNITS else ""


def fold(name: str) -> str:
    """Return what equal names have in common: case does not count, nor do dots at the end.

    Letter by letter, as all systems do it: `ß` and `SS` are two names.
    """
    name = name.rstrip(".") or name
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in name)


def fold_path(path: str) -> str:
    """Return what equal paths have in common, name by name as `fold` does it."""
    return "/".join(map(fold, path.split("/")))


def short_of(name: str) -> bytes | None:
    """Return the eleven bytes of a name that is a short one if case does not count, else None."""
    base, dot, extension = name.upper().rpartition(".") if "." in name else (name.upper(), "", "")
    if not base or len(base) > 8 or len(extension) > 3 or (dot and not extension):
        return None
    if not name.isascii() or not _PLAIN.issuperset(base + extension):
        return None
    return f"{base:<8}{extension:<3}".encode("ascii")


def case_of(name: str) -> int | None:
    """Return the bits that say which parts of a short name are lower case; None when one is mixed."""
    base, _, extension = name.partition(".")
    bits = 0
    for part, bit in ((base, LOWER_BASE), (extension, LOWER_EXTENSION)):
        if part != part.upper():
            if part != part.lower():
                return None
            bits |= bit
    return bits


def shown(short: bytes, case: int) -> str:
    """Return a short name as it is read, with the bits of its case."""
    raw = b"\xe5" + short[1:] if short[0] == 0x05 else short
    base, extension = (part.decode(_code_page(part)).rstrip(" ") for part in (raw[:8], raw[8:]))
    base = base.lower() if case & LOWER_BASE else base
    extension = extension.lower() if case & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def aliases(name: str, at: int = 1) -> Iterator[tuple[int, bytes]]:
    """Give the short names with a numeric tail that a long name can have, from number `at` on."""
    base, extension = stem(name)
    for number in range(at, TAILS + 1):
        tail = f"~{number}"
        yield number, f"{base[: 8 - len(tail)] + tail:<8}{extension:<3}".encode("ascii")


def stem(name: str) -> tuple[str, str]:
    """Return base and extension that the short names of a long one are made of: at most 6 and 3 letters."""
    bare = name.replace(" ", "").lstrip(".")
    base, _, extension = bare.rpartition(".") if "." in bare else (bare, "", "")
    return _plain(base)[:6] or "_", _plain(extension)[:3]


def checksum(short: bytes) -> int:
    """Return what ties the entries of a long name to its short one."""
    total = 0
    for byte in short:
        total = ((total >> 1 | (total & 1) << 7) + byte) & 0xFF
    return total


def long_entries(name: str, short: bytes) -> list[bytes]:
    """Return the entries of a long name as they are in front of the short one: the last part first."""
    raw = name.encode("utf-16-le", "surrogatepass")
    if len(raw) % (2 * UNITS_EACH):
        raw += b"\0\0"
        raw += b"\xff" * (-len(raw) % (2 * UNITS_EACH))
    parts = [raw[at : at + 2 * UNITS_EACH] for at in range(0, len(raw), 2 * UNITS_EACH)]
    total = checksum(short)
    return [
        _LONG_ENTRY.pack(
            number | (_LAST if number == len(parts) else 0),
            part[:10],
            LONG,
            0,
            total,
            part[10:22],
            0,
            part[22:],
        )
        for number, part in reversed([*enumerate(parts, 1)])
    ]


class LongName:
    """Gathers the entries of a long name as they come in a directory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._next = 0
        self._checksum = 0

    def take(self, entry: bytes) -> None:
        """Take one; what does not go on with those before it begins a new name, or none."""
        number, first, _, _, total, second, _, third = _LONG_ENTRY.unpack(entry)
        part = first + second + third
        if number & _LAST:
            self._parts, self._next, self._checksum = [part], (number & ~_LAST) - 1, total
        elif self._parts and number and number == self._next and total == self._checksum:
            self._parts.append(part)
            self._next -= 1
        else:
            self.drop()

    def drop(self) -> None:
        """Forget what came: something else is behind it."""
        self._parts = []

    def end(self, short: bytes) -> tuple[str, int]:
        """Return the name that belongs to this short one and how many entries it has; ("", 0) when there is none."""
        parts, self._parts = self._parts, []
        if not parts or self._next or checksum(short) != self._checksum:
            return "", 0
        name = b"".join(reversed(parts)).decode("utf-16-le", "surrogatepass")
        return name.partition("\0")[0], len(parts)


def free_alias(name: str, taken: Container[bytes], numbers: dict[tuple[str, str], int]) -> bytes | None:
    """Return a short name for a long one that none other has; None when there is none left.

    `numbers` remembers where to go on for the next name that begins alike, so a thousand of them cost
    a thousand looks and no million.
    """
    key = stem(name)
    for number, short in aliases(name, numbers.get(key, 1)):
        if short not in taken:
            numbers[key] = number + 1
            return short
    return None


def _plain(part: str) -> str:
    upper = (
        part.upper()
        if part.isascii()
        else "".join(letter.upper() if letter.isascii() else "_" for letter in part)
    )
    return "".join(letter if letter in _PLAIN else "_" for letter in upper)


def _code_page(part: bytes) -> str:
    return "ascii" if part.isascii() else _CODE_PAGE
