"""Sizes, ages and durations, as they are shown and typed."""

from __future__ import annotations

import re

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_DURATION = re.compile(r"(\d+)\s*([smhdw])")


def size_text(size_bytes: int) -> str:
    """Return `900 B`, `12.3 kB`, `1.4 GB`: decimal units, as docker shows them."""
    if abs(size_bytes) < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if abs(value) < 999.5:
            return f"{value:.3g} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def age_text(seconds: float) -> str:
    """Return `40 s`, `5 min`, `3 h`, `2 d`, `6 weeks`, `2 years`: one number, rounded down."""
    seconds = max(0, int(seconds))
    for unit, length, limit in (
        ("s", 1, 60),
        ("min", 60, 3600),
        ("h", 3600, 2 * 86400),
        ("d", 86400, 21 * 86400),
        ("weeks", 7 * 86400, 2 * 365 * 86400),
    ):
        if seconds < limit:
            return f"{seconds // length} {unit}"
    return f"{seconds // (365 * 86400)} years"


def duration_s(text: str) -> float:
    """Read `90s`, `30m`, `12h`, `7d`, `2w` and rows of them (`1d12h`). Raises ValueError."""
    found = _DURATION.findall(text)
    if not found or _DURATION.sub("", text).strip():
        raise ValueError(f"{text!r} is no duration")
    return float(sum(int(count) * UNITS_S[unit] for count, unit in found))
