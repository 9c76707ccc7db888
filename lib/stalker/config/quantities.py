"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\Z", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def duration_s(text: str) -> float:
    """Return seconds of `90s`, `10m`, `1h30m` or a plain number of seconds.

    Raises:
        ValueError: it is none of these, or not more than zero; the text says so.
    """
    found = _DURATION.match(text)
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        seconds = float(text)
    elif text and found is not None:
        hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = float(hours * 3600 + minutes * 60 + rest)
    else:
        raise ValueError(f"'{text}' is no duration: 90s, 10m, 1h30m, or seconds")
    if not 0 < seconds < 10**9:
        raise ValueError(f"a duration of {text} is not possible")
    return seconds


def size_bytes(text: str) -> int:
    """Return bytes of `2g`, `512m`, `64KiB`, `1.5G` or a plain number; units are powers of 1024.

    Raises:
        ValueError: it is none of these; the text says so.
    """
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is no size: 512m, 2g, or bytes")
    return int(float(found[1]) * _FACTORS[found[2].lower()])
