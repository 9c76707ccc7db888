"""Where partitions stand, as tables of cases; that sizes are enough is shown on real disks in tests/docker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.layout import (
    Measure,
    ext4_bytes,
    ext4_inodes,
    fat_shape,
    journal_blocks,
    lay_out,
    needed_bytes,
)
from stalker.errors import StalkerError
from stalker.model.artifacts import Disk, Partition
from stalker.model.diagnostics import Place

MIB = 1 << 20
HERE = Place("t.hjson")


def part(name: str, size: int | None, **more) -> Partition:
    return Partition(name, HERE, more.pop("filesystem", "ext4"), size, **more)


def disk(*partitions: Partition, table: str = "mbr", **more) -> Disk:
    return Disk("d.img", table, partitions, **more)


@pytest.mark.parametrize(
    ("table", "align", "sizes", "starts", "end"),
    [
        ("mbr", 4 * MIB, [256 * MIB, 100 * MIB], [4 * MIB, 260 * MIB], 360 * MIB),
        ("gpt", 4 * MIB, [256 * MIB], [4 * MIB], 264 * MIB),
        ("mbr", MIB, [MIB + 1, MIB], [MIB, 3 * MIB], 4 * MIB),
        ("gpt", 4096, [MIB], [20480], 20480 + MIB + 20480),
    ],
)
def test_partitions_stand_one_behind_the_other(table, align, sizes, starts, end):
    """Each at a multiple of the alignment, and at the end room for the second GPT."""
    made = lay_out(disk(*(part(f"p{n}", s) for n, s in enumerate(sizes)), table=table, align_bytes=align), {})

    assert [one.start_bytes for one in made.placed] == starts
    assert made.size_bytes == end


@given(
    st.lists(st.integers(1, 10 << 30), min_size=1, max_size=8),
    st.sampled_from(["mbr", "gpt"]),
    st.sampled_from([4096, MIB, 4 * MIB, 1 << 30]),
)
def test_no_partition_lies_upon_another_or_outside(sizes, table, align):
    """Whatever the sizes."""
    made = lay_out(disk(*(part(f"p{n}", s) for n, s in enumerate(sizes)), table=table, align_bytes=align), {})

    end = 34 * 512 if table == "gpt" else 512
    for one, size in zip(made.placed, sizes, strict=True):
        assert one.start_bytes >= end
        assert one.start_bytes % align == 0
        assert size <= one.size_bytes < size + 512
        end = one.end_bytes
    assert end + (33 * 512 if table == "gpt" else 0) <= made.size_bytes
    assert made.size_bytes % align == 0


def test_a_fixed_size_is_kept_and_a_larger_content_refused():
    """With what it would take, partition by partition."""
    fits = disk(part("root", None), size_bytes=100 * MIB, size_words="100MiB")

    assert lay_out(fits, {"root": 90 * MIB}).size_bytes == 100 * MIB
    with pytest.raises(StalkerError, match=r"100MiB is 100 MiB, and the partitions need 104 MiB") as error:
        lay_out(fits, {"root": 100 * MIB})
    assert "root 100 MiB" in error.value.details


@given(st.integers(1, 1 << 24), st.integers(1, 1 << 22))
def test_an_ext4_has_room_for_its_own_tables_too(blocks, inodes):
    """More content never means a smaller one, and its inode tables fit."""
    size = ext4_bytes(blocks, inodes)

    assert size > blocks * 4096 + ext4_inodes(size, inodes) * 256
    assert ext4_bytes(blocks + 1000, inodes) >= size
    assert ext4_inodes(size, inodes) >= inodes


@pytest.mark.parametrize(
    ("percent", "least", "low", "high"),
    [(0, 0, 100, 124), (10, 0, 110, 136), (0, 50 * MIB, 150, 180), (10, 50 * MIB, 150, 180)],
)
def test_a_margin_is_a_share_or_at_least_so_many_bytes(percent, least, low, high):
    """On top of 100 MiB of content."""
    measure = Measure(inodes=1000, data_blocks=100 * MIB // 4096)
    own = part("root", None, margin_percent=percent, margin_bytes=least)

    assert low * MIB <= needed_bytes(own, measure, 4 * MIB) <= high * MIB


@pytest.mark.parametrize(
    ("mib", "kind"),
    [(1, 12), (3, 16), (16, 16), (32, 16), (34, 32), (128, 32), (256, 32), (4096, 32), (64 << 10, 32)],
)
def test_a_fat_is_a_fat32_as_soon_as_it_can_be(mib, kind):
    """The Raspberry Pi boots from that; clusters are as large as leaves enough of them."""
    found, cluster = fat_shape(mib * MIB)

    assert found == kind
    if kind == 32:
        assert mib * 2048 // cluster > 65525
    if kind == 16:
        assert 4085 < mib * 2048 // cluster < 65525 * 2


@pytest.mark.parametrize(
    ("mib", "journal_mib"),
    [
        (7, 0),
        (8, 4),
        (31, 4),
        (127, 4),
        (128, 16),
        (1023, 16),
        (1024, 32),
        (3000, 64),
        (16384, 128),
        (33000, 256),
        (70000, 512),
        (140000, 1024),
    ],
)
def test_a_journal_is_as_large_as_mke2fs_makes_it(mib, journal_mib):
    """Read off file systems that mke2fs 1.47 made."""
    assert journal_blocks(mib * 256) == journal_mib * 256
