"""Sizes of disks and partitions as people write them, and the least that a disk must have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SECTOR_BYTES = 512
MIB = 1 << 20

CARD_SHORTFALL_PERCENT = 4
"""How much smaller than its label a card may be: seen are 0.7 % (an 8 GB card of 7 948 206 080 bytes) to
3 % (a 4 GB card of 3904 MB; Kodak's FAQ on memory cards says 3 %)."""

CARDS_GB = tuple(1 << power for power in range(12))
"""The sizes that cards are sold in: 1, 2, 4, ... 2048 GB of 10^9 bytes."""

SMALLEST_PARTITION_BYTES = MIB
MBR_MAX_BYTES = SECTOR_BYTES << 32
"""Sectors have 32 bits in an MBR."""

GPT_HEAD_BYTES = 34 * SECTOR_BYTES
GPT_TAIL_BYTES = 33 * SECTOR_BYTES
"""What a GPT of 128 entries takes at both ends of a disk (UEFI 2.10, 5.3)."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB)?\Z")
_DECIMAL = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])B\Z", re.IGNORECASE)
_LOOSE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB|B)?\Z", re.IGNORECASE)
_CARD = re.compile(r"(\d+)\s*GB\s+card\Z", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+)\s*%\Z")
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def exact_bytes(text: str) -> int:
    """Return bytes of `256MiB`, `8GiB`, `1.5G` or a plain number; units are powers of 1024.

    Raises:
        ValueError: it is no such size, or one of two that differ by 7 percent; the text says what to write.
    """
    text = text.strip()
    decimal = _DECIMAL.match(text)
    if decimal is not None:
        unit = decimal[2].upper()
        raise ValueError(
            f"'{text}' can be read in two ways; write {decimal[1]}{unit}iB for powers of 1024"
            + (f', or "{decimal[1]}GB card" for what fits such a card' if unit == "G" else "")
        )
    found = _SIZE.match(text)
    if found is None:
        loose = _LOOSE.match(text)
        hint = (
            f"; did you mean {loose[1]}{loose[2].upper()}iB?"
            if loose is not None
            else ": 256MiB, 8GiB, or bytes"
        )
        raise ValueError(f"'{text}' is no size{hint}")
    return (
        int(float(found[1]) * (1 << _POWERS[found[2]]))
        if "." in found[1]
        else int(found[1]) << _POWERS[found[2]]
    )


def disk_bytes(text: str, align_bytes: int) -> int:
    """Return the size of a disk: as `exact_bytes`, or what any `8GB card` surely holds.

    Raises:
        ValueError: as `exact_bytes`, or no card is sold in that size; the text says so.
    """
    card = _CARD.match(text.strip())
    return exact_bytes(text) if card is None else card_bytes(int(card[1]), align_bytes)


def card_bytes(label_gb: int, align_bytes: int) -> int:
    """Return what every card of that label holds: its shortfall taken off, rounded down to the alignment.

    Raises:
        ValueError: no card is sold in that size.
    """
    if label_gb not in CARDS_GB:
        raise ValueError(f"no card is sold as {label_gb} GB; they are 1, 2, 4, 8, 16, ... 2048")
    size = label_gb * 10**9 * (100 - CARD_SHORTFALL_PERCENT) // 100
    return size // align_bytes * align_bytes


def percent(text: str) -> int | None:
    """Return the number of `10%`, None where it is no percentage.

    Raises:
        ValueError: more than 1000 percent.
    """
    found = _PERCENT.match(text.strip())
    if found is None:
        return None
    if int(found[1]) > 1000:
        raise ValueError(f"a margin of {text} is not possible; at most 1000%")
    return int(found[1])


def least_bytes(table: str, sizes_bytes: Iterable[int | None], align_bytes: int) -> int:
    """Return the least that a disk with these partitions needs.

    A partition of unknown size (None) counts with the smallest one there is.
    """
    end = GPT_HEAD_BYTES if table == "gpt" else SECTOR_BYTES
    for size in sizes_bytes:
        end = aligned(end, align_bytes) + (SMALLEST_PARTITION_BYTES if size is None else size)
    return aligned(end + (GPT_TAIL_BYTES if table == "gpt" else 0), SECTOR_BYTES)


def aligned(size_bytes: int, align_bytes: int) -> int:
    """Return a size rounded up to a multiple of the alignment."""
    return -(-size_bytes // align_bytes) * align_bytes


def shown(size_bytes: int) -> str:
    """Return a size as messages show it: `256 MiB`, or `255.5 MiB` rounded up to tenths."""
    tenths = -(-size_bytes * 10 // MIB)
    return f"{tenths // 10} MiB" if tenths % 10 == 0 else f"{tenths / 10:.1f} MiB"
