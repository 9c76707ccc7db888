"""Sizes, ages and durations, as people write them and as they are shown.

Sizes have one grammar and two readings: `8G` and `8GB` are 8 x 2^30 bytes in a tree and for the engine, 8 x 10^9 in
the configuration of a card image and of the cache. `8GiB` is the same in both, so that is how sizes are shown.
"""

from __future__ import annotations

import re

MOST_BYTES = 1 << 60
MOST_DIGITS = 40
MOST_SECONDS = 10**9

_SIZE = re.compile(
    r"([0-9]+(?:\.[0-9]+)?)\s*(?:(?P<unit>[kmgtp])?(?P<i>i)?(?:b|bytes?)?"
    r"|(?P<name>kilo|mega|giga|tera|peta|kibi|mebi|gibi|tebi|pebi)bytes?)",
    re.IGNORECASE,
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SHOWN = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

_UNITS_S = {
    r"y(?:ears?)?": 365 * 86400,
    r"w(?:eeks?)?": 7 * 86400,
    r"d(?:ays?)?": 86400,
    r"h(?:ours?)?": 3600,
    r"m(?:in(?:ute)?s?)?": 60,
    r"s(?:ec(?:ond)?s?)?": 1,
}
_DURATION = re.compile(
    "".join(rf"(?:([0-9]+(?:\.[0-9]+)?)\s*{unit}(?![a-z])[\s,]*)?" for unit in _UNITS_S), re.IGNORECASE
)
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def binary_bytes(text: str) -> int:
    """Return bytes of `8G`, `8GB`, `8GiB` (all of powers of 1024), `1.5g`, or a plain number.

    Raises:
        ValueError: it is none of these; the text says what to write.
    """
    return _bytes(text, 1024)


def decimal_bytes(text: str) -> int:
    """Return bytes of `8G`, `8GB`, `8 gigabytes` (of powers of 1000), `8GiB` (of 1024), or a plain number.

    Raises:
        ValueError: it is none of these; the text says what to write.
    """
    return _bytes(text, 1000)


def _bytes(text: str, step: int) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found["i"] and not found["unit"]):
        raise ValueError(f"'{text}' is not a size; write it like 512MiB, 8GiB, or in bytes")
    name = (found["name"] or "").lower()
    is_binary = bool(found["i"]) or name.endswith("bi")
    power = _POWERS[(found["unit"] or name[:1]).lower()]
    if len(found[1]) > MOST_DIGITS:
        raise ValueError(f"'{text[:MOST_DIGITS]}...' is more than any disk has")
    whole, _, part = found[1].partition(".")
    size: int = int(whole + part) * (1024 if is_binary else step) ** power // 10 ** len(part)
    if size > MOST_BYTES:
        raise ValueError(f"'{text}' is more than any disk has")
    return size


def size_text(size_bytes: int) -> str:
    """Return `900 B`, `12.1 KiB`, `256 MiB`, `1.4 GiB`: three digits, rounded up, so what is shown is enough."""
    if size_bytes < 0:
        return f"-{size_text(-size_bytes)}"
    power = min(max(size_bytes.bit_length() - 1, 0) // 10, len(_SHOWN) - 1)
    unit = 1 << 10 * power
    scale = 10 ** max(0, 3 - len(str(size_bytes // unit)))
    value = -(-size_bytes * scale // unit)
    if value >= 1024 * scale and power < len(_SHOWN) - 1:
        return f"1 {_SHOWN[power + 1]}"
    return f"{value / scale:.15g} {_SHOWN[power]}"


def duration_s(text: str, *, needs_unit: bool = False) -> float:
    """Return seconds of `90s`, `1h30m`, `1d 12h`, `2 weeks`, `1y`, or of a plain number unless a unit is needed.

    Units come once each, the largest first.

    Raises:
        ValueError: it is none of these; the text says what to write.
    """
    text = text.strip()
    found = _DURATION.fullmatch(text)
    if text and found is not None:
        counts = zip(found.groups(), _UNITS_S.values(), strict=True)
        return sum(float(count) * unit for count, unit in counts if count)
    if _SECONDS.fullmatch(text) and not needs_unit:
        return float(text)
    raise ValueError(
        f"'{text}' is not a duration; write it like 90m, 12h, 7d or 2w"
        if needs_unit
        else f"'{text}' is not a duration; write it like 90s, 1h30m, 2d, or in seconds"
    )


def timeout_s(text: str) -> float:
    """Return seconds as `duration_s` reads them, of something that has time to happen.

    Raises:
        ValueError: as `duration_s`, or it is zero or more than 31 years; the text says so.
    """
    seconds = duration_s(text)
    if not 0 < seconds < MOST_SECONDS:
        raise ValueError(f"a duration of {text} is not possible")
    return seconds


def duration_text(seconds: float) -> str:
    """Return how long something takes: `0.1 s`, `48 s`, `2 min 5 s`, `1 h 12 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def age_text(seconds: float) -> str:
    """Return how old something is: `40 s`, `5 min`, `3 h`, `2 d`, `6 weeks`, `2 years`: one number, rounded down."""
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
