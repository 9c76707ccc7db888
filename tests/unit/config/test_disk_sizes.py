from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.disk_sizes import (
    CARDS_GB,
    aligned,
    card_bytes,
    disk_bytes,
    exact_bytes,
    least_bytes,
    percent,
    shown,
)

MIB = 1 << 20

ALIGNMENTS = st.integers(12, 30).map(lambda power: 1 << power)
SIZES = st.lists(st.one_of(st.none(), st.integers(MIB, 1 << 40)), max_size=8)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4KiB", 4096),
        ("256MiB", 256 * MIB),
        ("256M", 256 * MIB),
        ("1.5G", 1536 * MIB),
        ("2 TiB", 1 << 41),
    ],
)
def test_a_size_is_bytes(text, size):
    """Units are powers of 1024."""
    assert exact_bytes(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1x", "8GB", "8gb", "8gib", "1e3", "1,5G", "8GB card"])
def test_what_is_no_size_is_refused(text):
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


@given(st.sampled_from(["mbr", "gpt"]), SIZES, ALIGNMENTS)
def test_partitions_fit_into_the_least_size(table, sizes, align):
    """Laid out one after another, each aligned, none over a table at either end."""
    end = 34 * 512 if table == "gpt" else 512
    for size in sizes:
        start = aligned(end, align)
        assert start % align == 0
        assert 0 <= start - end < align
        end = start + (MIB if size is None else size)

    least = least_bytes(table, sizes, align)

    assert least - 512 < end + (33 * 512 if table == "gpt" else 0) <= least


@given(SIZES, ALIGNMENTS)
def test_a_gpt_takes_more_than_an_mbr(sizes, align):
    """It stands at both ends."""
    assert least_bytes("gpt", sizes, align) > least_bytes("mbr", sizes, align)


@pytest.mark.parametrize(("text", "number"), [("10%", 10), ("0 %", 0), ("10", None), ("64MiB", None)])
def test_a_percentage_is_told_from_a_size(text, number):
    assert percent(text) == number


def test_a_size_is_shown_rounded_up():
    """Who writes what is shown has room."""
    assert [shown(size) for size in (MIB, MIB + 1, 260 * MIB)] == ["1 MiB", "1.1 MiB", "260 MiB"]
