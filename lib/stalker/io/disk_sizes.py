"""Sizes of disks as people write them: exact ones, percentages, and those of cards by their labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.io.units import binary_bytes, decimal_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
GB = 10**9

CARD_ALIGN_BYTES = 4 << 20

CARD_SHORTFALL_PERCENT = 4
"""How much smaller than its label a card may be: seen are 0.7 % (an 8 GB card of 7 948 206 080 bytes) to
3 % (a 4 GB card of 3904 MB; Kodak's FAQ on memory cards says 3 %)."""

CARDS_GB = tuple(1 << power for power in range(12))
"""The sizes that cards are sold in: 1, 2, 4, ... 2048 GB of 10^9 bytes."""

_WITH_B = re.compile(r"([0-9.]+)\s*([KMGTP])(?:B|[a-z]+bytes?)\Z", re.IGNORECASE)
_CARD = re.compile(r"([0-9]+)\s*GB\s+card\Z", re.IGNORECASE)
_PERCENT = re.compile(r"([0-9]+)\s*%\Z")


def exact_bytes(text: str) -> int:
    """Return bytes of `256MiB`, `8GiB`, `1.5G` or a plain number; units are powers of 1024.

    Raises:
        ValueError: it is not such a size, or one of two that differ by 7 percent; the text says what to write.
    """
    size = binary_bytes(text)
    found = _WITH_B.match(text.strip())
    if found is not None and size != decimal_bytes(text):
        unit = found[2].upper()
        raise ValueError(
            f"'{text}' can be read in two ways; write {found[1]}{unit}iB for powers of 1024"
            + (f', or "{found[1]}GB card" for what fits such a card' if unit == "G" else "")
        )
    return size


def disk_bytes(text: str, align_bytes: int, read: Callable[[str], int] = exact_bytes) -> int:
    """Return the size of a disk: as `read` has it, or what any `8GB card` surely holds.

    Raises:
        ValueError: as `read`, or no card is sold in that size; the text says so.
    """
    card = _CARD.match(text.strip())
    return read(text) if card is None else card_bytes(int(card[1]), align_bytes)


def output_bytes(text: str) -> int:
    """Return the size of a card image: as `decimal_bytes`, or what any `8GB card` surely holds.

    Raises:
        ValueError: as `decimal_bytes`, or no card is sold in that size; the text says so.
    """
    return disk_bytes(text, CARD_ALIGN_BYTES, decimal_bytes)


def card_bytes(label_gb: int, align_bytes: int) -> int:
    """Return what every card of that label holds: its shortfall taken off, rounded down to the alignment.

    Raises:
        ValueError: no card is sold in that size.
    """
    if label_gb not in CARDS_GB:
        raise ValueError(f"no card is sold as {label_gb} GB; they are 1, 2, 4, 8, 16, ... 2048")
    size = label_gb * GB * (100 - CARD_SHORTFALL_PERCENT) // 100
    return size // align_bytes * align_bytes


def card_of(size_bytes: int) -> str:
    """Return `8GB card` for a size that is a card's label to the byte, else nothing."""
    return f"{size_bytes // GB}GB card" if size_bytes in {card * GB for card in CARDS_GB} else ""


def percent(text: str) -> int | None:
    """Return the number of `10%`, None where it is not a percentage.

    Raises:
        ValueError: more than 1000 percent.
    """
    found = _PERCENT.match(text.strip())
    if found is None:
        return None
    if int(found[1]) > 1000:
        raise ValueError(f"a margin of {text} is not possible; at most 1000%")
    return int(found[1])


def aligned(size_bytes: int, align_bytes: int) -> int:
    """Return a size rounded up to a multiple of the alignment."""
    return -(-size_bytes // align_bytes) * align_bytes
