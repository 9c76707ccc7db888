"""How large an image becomes: as small as can be, never too small, and refused in figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.card.sizing import (
    Base,
    Load,
    content_bytes,
    declared_base,
    grown_data_bytes,
    measure_of,
    new_data_bytes,
    plan_layout,
)
from stalker.disk.layout import Measure, ext4_bytes, ext4_own_blocks
from stalker.errors import PlanError
from stalker.formats.fs.ext4 import HAS_EXTENTS, SPARSE_SUPER, Super
from stalker.formats.partition_table.extent import GPT_TAIL_BYTES
from stalker.model.card import Output

MIB = 1 << 20
ALIGN = 4 * MIB
AUTO = Output()
SHAPE = Super(
    block_bytes=4096,
    blocks=16384,
    free_blocks=14000,
    reserved_blocks=163,
    first_block=0,
    group_blocks=32768,
    inodes=4096,
    free_inodes=4085,
    group_inodes=4096,
    inode_bytes=256,
    descriptor_bytes=64,
    growth_blocks=127,
    incompatible=HAS_EXTENTS,
    read_only=SPARSE_SUPER,
    latest_s=1,
    is_clean=True,
)
"""64 MiB with a sixteenth of it taken."""


def base(size_mib, *, system_mib=None, data_mib=0, shape=None, tail=0):
    system = size_mib if system_mib is None else system_mib
    return Base(size_mib * MIB, system * MIB, data_mib * MIB, shape, tail)


def wish(size_bytes, **more):
    return Output(size_bytes, f"{size_bytes // MIB} MiB", **more)


def content(mib, files=10):
    return measure_of([Load(files, mib * MIB, 2)])


LOADS = st.lists(
    st.builds(Load, st.integers(0, 100_000), st.integers(0, 1 << 38), st.integers(0, 5000)), max_size=6
)


@settings(deadline=None)
@given(loads=LOADS)
def test_a_new_data_partition_has_a_tenth_of_its_content_free(loads):
    """Besides what ext4 keeps for itself and for root; and it is not larger than it has to be."""
    measure = measure_of(loads)
    size = new_data_bytes(measure)
    blocks = content_bytes(measure) // 4096

    least = ext4_bytes(blocks + -(-blocks // 10), measure.inodes)
    assert size % ALIGN == 0
    assert size >= least + size // 100
    assert size <= least * 103 // 100 + 40 * MIB


@pytest.mark.parametrize("mib", [*range(1, 40), 110, 112, 900, 1000, 1020])
def test_rounding_up_never_brings_a_journal_that_takes_the_room(mib):
    """Its journal grows in steps with the size: just below one a larger file system holds less."""
    measure = content(mib, 1)
    blocks = new_data_bytes(measure) // 4096

    own = ext4_own_blocks(blocks, measure.inodes + 11)
    assert blocks - own >= content_bytes(measure) // 4096 * 11 // 10


@settings(deadline=None)
@given(files=st.lists(st.integers(0, 1 << 34), min_size=1, max_size=50), folders=st.integers(0, 20))
def test_sizes_alone_count_no_less_than_the_files_themselves(files, folders):
    exact = sum(-(-size // 4096) for size in files)

    told = measure_of([Load(len(files), sum(files), folders)])

    assert told.inodes == len(files) + folders
    assert exact <= told.data_blocks <= exact + len(files) + sum(files) // (64 * MIB)


@settings(deadline=None)
@given(mib=st.integers(0, 300_000), files=st.integers(0, 500_000))
def test_a_data_partition_grows_as_far_as_its_content_needs(mib, files):
    measure = content(mib, files)
    size = grown_data_bytes(SHAPE, measure)

    free = SHAPE.free_at(size)
    assert free.blocks * 4096 >= content_bytes(measure) * 11 // 10
    assert free.inodes >= measure.inodes
    assert size >= SHAPE.size_bytes
    if size > SHAPE.size_bytes:
        assert size % ALIGN == 0
        less = SHAPE.free_at(size - ALIGN)
        assert less.blocks * 4096 < content_bytes(measure) * 11 // 10 + 4096 or less.inodes < measure.inodes


@settings(deadline=None)
@given(
    mib=st.integers(0, 100_000),
    size=st.integers(1, 20_000),
    data=st.integers(0, 500),
    tail=st.sampled_from([0, GPT_TAIL_BYTES]),
    more=st.integers(0, 50_000),
)
def test_an_image_holds_its_data_partition_and_its_base(mib, size, data, tail, more):
    """Of size auto it ends behind them; of a size that was asked for it has that size."""
    shape = SHAPE if data >= 64 else None
    known = base(size + data, system_mib=size, data_mib=data if shape else 0, shape=shape, tail=tail)
    measure = content(mib)

    auto = plan_layout(known, measure, AUTO)

    assert auto.image_bytes == auto.need_bytes == auto.most_bytes
    assert auto.is_exact
    assert auto.image_bytes >= known.size_bytes
    begin = size * MIB if shape else -(-size // 4) * ALIGN
    assert auto.data_bytes <= known.data_bytes or auto.image_bytes >= begin + auto.data_bytes + tail
    assert auto.image_bytes == known.size_bytes or auto.image_bytes % ALIGN == 0
    assert auto.image_bytes <= max(known.size_bytes, begin + auto.data_bytes + tail + ALIGN)
    asked = plan_layout(known, measure, wish(auto.need_bytes + more * MIB))
    assert asked.image_bytes == auto.need_bytes + more * MIB
    assert plan_layout(known, measure, wish(auto.need_bytes + more * MIB, shrinks=True)) == auto
    with pytest.raises(PlanError):
        plan_layout(known, measure, wish(auto.need_bytes - 1))


def test_without_content_an_image_is_as_its_base():
    """Byte for byte as large, aligned or not."""
    known = Base(5 * MIB + 512, 5 * MIB, 0, None)

    assert plan_layout(known, None, AUTO).image_bytes == 5 * MIB + 512
    assert plan_layout(known, None, AUTO).data_bytes == 0


def test_a_data_partition_that_has_room_stays_as_it_is():
    known = base(164, system_mib=100, data_mib=64, shape=SHAPE)

    room = plan_layout(known, content(10), AUTO)

    assert (room.image_bytes, room.data_bytes) == (164 * MIB, 64 * MIB)


def test_a_size_that_is_too_small_is_refused_with_both_figures_and_what_would_do():
    known = base(100, tail=GPT_TAIL_BYTES)
    need = plan_layout(known, content(500), AUTO).need_bytes

    with pytest.raises(PlanError) as caught:
        plan_layout(known, content(500), wish(300 * MIB))

    assert str(300 * MIB) in caught.value.brief
    assert str(need) in caught.value.brief
    assert "content" in caught.value.details
    assert caught.value.resolution == f"output.size: auto, or {need} and more"
    assert plan_layout(known, content(500), wish(need)).image_bytes == need
    assert caught.value.exit_code == 2


def test_a_size_below_the_base_is_refused():
    with pytest.raises(PlanError, match=f"{200 * MIB} bytes"):
        plan_layout(base(200), None, wish(100 * MIB))


@pytest.mark.parametrize("output", [AUTO, wish(4096 * MIB), wish(4096 * MIB, shrinks=True)])
def test_an_image_larger_than_it_may_be_is_refused(output):
    with pytest.raises(PlanError) as caught:
        plan_layout(base(100), content(2000), output, max_bytes=1024 * MIB)

    assert str(1024 * MIB) in caught.value.brief
    assert "put less onto it" in caught.value.resolution


def test_a_size_that_is_more_than_needed_and_than_allowed_says_what_would_do():
    with pytest.raises(PlanError) as caught:
        plan_layout(base(100), content(100), wish(4096 * MIB), max_bytes=1024 * MIB)

    assert "output.size: auto" in caught.value.resolution
    assert plan_layout(base(100), content(100), AUTO, max_bytes=1024 * MIB).image_bytes < 1024 * MIB


@settings(deadline=None)
@given(
    system=st.integers(1, 20_000),
    more=st.integers(0, 2000),
    data=st.one_of(st.just(0), st.integers(64, 4000)),
    told=st.booleans(),
    mib=st.integers(0, 50_000),
    asked=st.integers(1, 100_000),
)
def test_before_the_download_nothing_is_refused_that_would_fit(system, more, data, told, mib, asked):
    """Whether the base turns out to have a data partition or none, and whatever its author said or did not."""
    shape = replace(SHAPE, blocks=data * 256, free_blocks=data * 250) if data else None
    exact = base(system + data + more, system_mib=system, data_mib=data, shape=shape, tail=GPT_TAIL_BYTES)
    before = declared_base(exact.size_bytes, system * MIB if told else None)
    try:
        room = plan_layout(exact, content(mib), wish(asked * MIB))
    except PlanError:
        room = None

    if room is not None:
        assert plan_layout(before, content(mib), wish(asked * MIB)).image_bytes == room.image_bytes
    auto = plan_layout(before, content(mib), AUTO)
    assert not auto.is_exact
    assert auto.need_bytes <= plan_layout(exact, content(mib), AUTO).image_bytes <= auto.most_bytes


def test_what_its_author_says_of_the_system_counts_before_the_download():
    """So a size that cannot do is refused at once."""
    told = declared_base(1000 * MIB, 900 * MIB)

    with pytest.raises(PlanError) as caught:
        plan_layout(told, content(500), wish(1200 * MIB))

    assert "at least" in caught.value.brief
    assert "rootfs_size" in caught.value.details


def test_nothing_at_all_still_is_a_file_system_with_a_journal():
    assert new_data_bytes(Measure()) >= 8 * MIB


def test_content_that_no_card_holds_is_refused_at_once():
    """A server that lies of a length has nobody wait."""
    with pytest.raises(PlanError, match="which no card holds"):
        plan_layout(base(200), measure_of([Load(1, 1 << 62)]), AUTO)
