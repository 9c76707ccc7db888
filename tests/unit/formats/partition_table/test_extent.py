"""The least that a disk must have for its partitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stalker.formats.partition_table.extent import least_bytes
from stalker.io.disk_sizes import aligned

MIB = 1 << 20

ALIGNMENTS = st.integers(12, 30).map(lambda power: 1 << power)
SIZES = st.lists(st.one_of(st.none(), st.integers(MIB, 1 << 40)), max_size=8)


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
    """It is at both ends."""
    assert least_bytes("gpt", sizes, align) > least_bytes("mbr", sizes, align)
