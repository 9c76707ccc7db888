from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.creation_sizes import card_of, output_bytes, size_bytes
from stalker.config.disk_sizes import CARDS_GB

DECIMAL = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "kB": 10**3,
    "M": 10**6,
    "MB": 10**6,
    "G": 10**9,
    "gb": 10**9,
    "T": 10**12,
}
BINARY = {"KiB": 1 << 10, "MiB": 1 << 20, "gib": 1 << 30, "TiB": 1 << 40}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8G", 8 * 10**9),
        ("8GB", 8 * 10**9),
        ("8 gb", 8 * 10**9),
        ("8GiB", 8 << 30),
        ("2.5GiB", 5 << 29),
        ("0.1 KB", 100),
        ("512", 512),
        ("512 bytes", 512),
        ("1 byte", 1),
        (" 16 gigabytes ", 16 * 10**9),
        ("1 mebibyte", 1 << 20),
        ("0", 0),
    ],
)
def test_a_size_is_what_image_creator_takes_it_for(text, size):
    """Units are powers of 1000; with an i, of 1024."""
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "G", "auto", "-1", "1,5G", "8 apples", "8iB", "8Gi", "1e9", "8 GBit", "0x10", "٣GB!"]
)
def test_what_is_no_size_is_refused(text):
    """With how sizes are written."""
    with pytest.raises(ValueError, match="is no size: 8GiB, 500MB, 8G, or bytes"):
        output_bytes(text)


@given(
    st.integers(0, 10**15), st.sampled_from(sorted({**DECIMAL, **BINARY}.items())), st.sampled_from(["", " "])
)
def test_a_size_is_its_number_times_its_unit(number, unit, blank):
    """To the byte, however large."""
    assert size_bytes(f"{number}{blank}{unit[0]}") == number * unit[1]


@given(st.decimals(0, 10**6, places=3), st.sampled_from(sorted({**DECIMAL, **BINARY}.items())))
def test_a_fraction_is_rounded_down_to_bytes(number, unit):
    """No float is in between."""
    assert size_bytes(f"{number:f}{unit[0]}") == int(number * unit[1])


@given(st.sampled_from(CARDS_GB), st.sampled_from(["{}GB card", "{} gb  Card"]))
def test_an_image_for_a_card_is_smaller_than_its_label(card, form):
    """A few percent, in whole 4 MiB."""
    size = output_bytes(form.format(card))

    assert 0.95 * card * 10**9 < size <= 0.96 * card * 10**9
    assert size % (4 << 20) == 0


def test_no_card_is_sold_in_any_size():
    """9 GB is none."""
    with pytest.raises(ValueError, match="no card is sold as 9 GB"):
        output_bytes("9GB card")


def test_an_image_of_any_other_size_is_as_large_as_it_says():
    """Not a card."""
    assert output_bytes("9GB") == 9 * 10**9


@pytest.mark.parametrize(
    ("size", "card"), [(8 * 10**9, "8GB card"), (8 << 30, ""), (10**9, "1GB card"), (9 * 10**9, ""), (0, "")]
)
def test_a_size_that_is_a_label_is_known(size, card):
    """To the byte."""
    assert card_of(size) == card


@pytest.mark.parametrize("text", ["999999999999999999999999TB", "1" + "0" * 5000, "1200P", "1025PiB"])
def test_no_disk_is_that_large(text):
    """A number that no kernel takes is told where it stands."""
    with pytest.raises(ValueError, match="is more than any disk has"):
        output_bytes(text)
