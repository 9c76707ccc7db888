from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.io.disk_sizes import (
    CARDS_GB,
    card_bytes,
    card_of,
    disk_bytes,
    exact_bytes,
    percent,
)
from stalker.io.units import decimal_bytes

MIB = 1 << 20

ALIGNMENTS = st.integers(12, 30).map(lambda power: 1 << power)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4KiB", 4096),
        ("256MiB", 256 * MIB),
        ("256M", 256 * MIB),
        ("1.5G", 1536 * MIB),
        ("2 TiB", 1 << 41),
        ("8gib", 8 << 30),
        ("100b", 100),
    ],
)
def test_a_size_is_bytes(text, size):
    """Units are powers of 1024."""
    assert exact_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1x", "8GB", "8gb", "8 gigabytes", "1e3", "1,5G", "8GB card"]
)
def test_what_is_not_an_exact_size_is_refused(text):
    """8GB can be read in two ways, which differ by 7 percent."""
    with pytest.raises(ValueError, match=r"size|two ways"):
        exact_bytes(text)


@given(st.integers(1, 1 << 20), st.sampled_from([("KiB", 10), ("M", 20), ("GiB", 30)]))
def test_a_size_is_its_number_times_its_unit(number, unit):
    """Whatever the number."""
    assert exact_bytes(f"{number}{unit[0]}") == number << unit[1]


def test_a_card_is_smaller_than_its_label():
    """The smallest of the cards that were seen: 3904 MB of 4 GB; an image for a card fits it."""
    assert disk_bytes("4GB card", 4 * MIB) <= 3904 * 10**6
    assert disk_bytes("8 gb card", 4 * MIB) <= 7_948_206_080


@given(st.sampled_from(CARDS_GB), ALIGNMENTS)
def test_a_card_is_aligned_and_little_is_given_away(label, align):
    """4 percent, and less than one alignment."""
    size = card_bytes(label, align)

    assert size % align == 0
    assert label * 10**9 * 96 // 100 - align < size <= label * 10**9 * 96 // 100


@pytest.mark.parametrize(("text", "number"), [("10%", 10), ("0 %", 0), ("10", None), ("64MiB", None)])
def test_a_percentage_is_told_from_a_size(text, number):
    assert percent(text) == number


@pytest.mark.parametrize(
    ("size", "card"), [(8 * 10**9, "8GB card"), (8 << 30, ""), (10**9, "1GB card"), (9 * 10**9, ""), (0, "")]
)
def test_a_size_that_is_a_label_is_known(size, card):
    """To the byte."""
    assert card_of(size) == card


def test_a_disk_that_is_not_a_card_is_read_as_it_is_asked_for():
    """A tree refuses 9GB, a card image has it."""
    assert disk_bytes("9GB", 1, decimal_bytes) == 9 * 10**9
    with pytest.raises(ValueError, match="two ways"):
        disk_bytes("9GB", 1)


def test_no_card_is_sold_in_any_other_size():
    with pytest.raises(ValueError, match="no card is sold as 9 GB"):
        disk_bytes("9GB card", 1, decimal_bytes)
