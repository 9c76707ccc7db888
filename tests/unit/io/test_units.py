"""Sizes and durations: what is read, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.io.units import (
    age_text,
    binary_bytes,
    decimal_bytes,
    duration_s,
    duration_text,
    size_text,
    timeout_s,
)

LETTERS = {"": 0, "B": 0, "K": 1, "kB": 1, "M": 2, "mb": 2, "G": 3, "gb": 3, "T": 4, "PB": 5}
MEANT_AS_1024 = {"KiB": 1, "MiB": 2, "Mi": 2, "gib": 3, "TiB": 4}


@given(st.integers(0, 1000), st.sampled_from(sorted(LETTERS.items())), st.sampled_from(["", " "]))
def test_a_letter_is_of_1024_or_of_1000_by_the_reading(number, unit, blank):
    """`8G` is 8 x 2^30 in a tree, 8 x 10^9 in a card image."""
    text = f"{number}{blank}{unit[0]}"

    assert binary_bytes(text) == number * 1024 ** unit[1]
    assert decimal_bytes(text) == number * 1000 ** unit[1]


@given(st.integers(0, 1000), st.sampled_from(sorted(MEANT_AS_1024.items())))
def test_a_unit_with_an_i_is_of_1024_in_both(number, unit):
    text = f"{number}{unit[0]}"

    assert binary_bytes(text) == decimal_bytes(text) == number * 1024 ** unit[1]


@given(st.decimals(0, 1000, places=3), st.sampled_from(sorted(LETTERS.items())))
def test_a_fraction_is_rounded_down_to_bytes(number, unit):
    """No float is in between."""
    assert decimal_bytes(f"{number:f}{unit[0]}") == int(number * 1000 ** unit[1])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512 bytes", 512),
        ("1 byte", 1),
        (" 16 gigabytes ", 16 * 10**9),
        ("1 mebibyte", 1 << 20),
        ("0.1 KB", 100),
        ("2.5GiB", 5 << 29),
    ],
)
def test_units_can_be_written_out(text, size):
    assert decimal_bytes(text) == size


@pytest.mark.parametrize("read", [binary_bytes, decimal_bytes])
@pytest.mark.parametrize(
    "text", ["", "G", "auto", "-1", "1,5G", "8 apples", "8iB", "1e9", "8 GBit", "0x10", "٣GB", "1 2", "1gg"]
)
def test_what_is_not_a_size_is_refused(read, text):
    """With how sizes are written."""
    with pytest.raises(ValueError, match="is not a size; write it like 512MiB, 8GiB, or in bytes"):
        read(text)


@pytest.mark.parametrize("text", ["999999999999999999999999TB", "1" + "0" * 5000, "1200P", "1025PiB"])
def test_a_size_has_a_limit(text):
    """One that no kernel takes is refused where it was written."""
    with pytest.raises(ValueError, match="is more than any disk has"):
        decimal_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (12_345, "12.1 KiB"),
        (1 << 20, "1 MiB"),
        ((1 << 20) - 1, "1 MiB"),
        ((1 << 20) + 1, "1.01 MiB"),
        (260 << 20, "260 MiB"),
        (1028 << 20, "1.01 GiB"),
        (8 * 10**9, "7.46 GiB"),
        (5 * 10**12, "4.55 TiB"),
        (1 << 60, "1024 PiB"),
        (-1536, "-1.5 KiB"),
    ],
)
def test_a_size_is_shown_with_three_digits(size, text):
    """In units that every configuration reads alike."""
    assert size_text(size) == text


@given(st.integers(0, 1 << 60))
def test_what_is_shown_is_enough(size):
    """By less than a hundredth, in both readings, so what a message says can be written into a file."""
    read = binary_bytes(size_text(size))

    assert read == decimal_bytes(size_text(size))
    assert size <= read + 1 <= size + size // 99 + 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43200),
        ("7d", 604800),
        ("2w", 1209600),
        ("1y", 31536000),
        ("1d12h", 129600),
        ("1d 12h", 129600),
        ("1h1m1s", 3661),
        ("2 weeks, 1 day", 1296000),
        ("1.5 hours", 5400),
        ("5 min", 300),
        ("10 secs", 10),
        ("5", 5),
        ("0.5", 0.5),
        ("0", 0),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "d", "-7d", "7x", "ten", "1m1h", "1m 1m", "1e3", "3 fortnights", "1mo", "1 2s"]
)
def test_what_is_not_a_duration_is_refused(text):
    """Also units in the wrong order, which are a mistake more often than meant."""
    with pytest.raises(ValueError, match="is not a duration; write it like"):
        duration_s(text)


def test_a_number_alone_is_refused_where_a_unit_is_needed():
    """`--older-than 7` meant seven days."""
    assert duration_s("7d", needs_unit=True) == 7 * 86400

    with pytest.raises(ValueError, match="'7' is not a duration; write it like 90m, 12h, 7d or 2w"):
        duration_s("7", needs_unit=True)


@pytest.mark.parametrize("text", ["0", "0s", "9" * 12, "40y"])
def test_a_timeout_is_neither_zero_nor_endless(text):
    """With zero a step would never run."""
    with pytest.raises(ValueError, match=r"a duration of .* is not possible"):
        timeout_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (62, "1 min 2 s"),
        (3599.6, "1 h 0 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_shown_in_two_units_at_most(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3600, "1 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 d"),
        (21 * 86400, "3 weeks"),
        (800 * 86400, "2 years"),
    ],
)
def test_ages_are_one_number(seconds, text):
    assert age_text(seconds) == text
