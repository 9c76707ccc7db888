"""Sizes in the configuration of an image, read as image-creator reads them: `8G` is 8 * 10^9 bytes."""

from __future__ import annotations

import re
from fractions import Fraction

from stalker.config.disk_sizes import CARDS_GB, disk_bytes

CARD_ALIGN_BYTES = 4 << 20
GB = 10**9
MOST_BYTES = 1 << 60
MOST_DIGITS = 40

_SIZE = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:(?P<unit>[kmgtp])?(?:(?P<binary>i)?b|bytes?)?"
    r"|(?P<name>kilo|mega|giga|tera|peta|kibi|mebi|gibi|tebi|pebi)bytes?)",
    re.IGNORECASE,
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CARD = re.compile(r"\d+\s*GB\s+card\Z", re.IGNORECASE)


def size_bytes(text: str) -> int:
    """Return bytes of `8GiB` (powers of 1024), `8G`, `2.4 GB`, `8 gigabytes` (of 1000), or a plain number.

    Raises:
        ValueError: it is none of these; the text says so.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found["binary"] and not found["unit"]):
        raise ValueError(f"'{text}' is no size: 8GiB, 500MB, 8G, or bytes")
    name = (found["name"] or "").lower()
    is_binary = bool(found["binary"]) or name.endswith("bi")
    power = _POWERS[(found["unit"] or name[:1]).lower()]
    if len(found[1]) > MOST_DIGITS:
        raise ValueError(f"'{text[:MOST_DIGITS]}...' is more than any disk has")
    return int(Fraction(found[1]) * (1024 if is_binary else 1000) ** power)


def output_bytes(text: str) -> int:
    """Return the size of an image: as `size_bytes`, or what any `8GB card` surely holds.

    Raises:
        ValueError: as `size_bytes`, or no card is sold in that size; the text says so.
    """
    size = disk_bytes(text, CARD_ALIGN_BYTES) if _CARD.match(text.strip()) else size_bytes(text)
    if size > MOST_BYTES:
        raise ValueError(f"'{text}' is more than any disk has")
    return size


def card_of(size_bytes: int) -> str:
    """Return `8GB card` for a size that is a card's label to the byte, else nothing."""
    return f"{size_bytes // GB}GB card" if size_bytes in {card * GB for card in CARDS_GB} else ""
