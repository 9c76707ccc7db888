"""The allocation table: chains made and followed, room found, damage told, and what is not ours kept."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry
from stalker.formats.fs.fat.boot_sector import read_geometry
from stalker.formats.fs.fat.table import Run, Table
from unit.helpers.fats import SURROUNDINGS, Fat, put

WIDTHS = {"fat12": 12, "fat16": 16, "fat32": 32}


def geometry(fat):
    with fat.path.open("rb") as image:
        return read_geometry(image.fileno(), fat.start, fat.size_bytes)


def opened(fat):
    with fat.path.open("rb") as image:
        return Table(image.fileno(), read_geometry(image.fileno(), fat.start, fat.size_bytes))


def write_entry(fat, cluster, value, *, copies=2):
    """Write an entry of the table as it stands on the disk, of 16 or 32 bits."""
    shape = geometry(fat)
    raw = struct.pack("<H" if shape.bits == 16 else "<I", value)
    for start in shape.tables[:copies]:
        fat.write(start + cluster * len(raw), raw)


def read_entry(fat, cluster, copy=0):
    shape = geometry(fat)
    size = shape.bits // 8
    at = shape.tables[copy] + cluster * size
    with fat.path.open("rb") as image:
        return int.from_bytes(os.pread(image.fileno(), size, at), "little")


def first_cluster(fat, ranges):
    shape = geometry(fat)
    return (ranges[0].start - shape.data_start) // shape.cluster_bytes + 2


# damage


@pytest.mark.parametrize("shape", ["fat16", "fat32"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "leads to cluster 0"),
        (1, "leads to cluster 1"),
        (0xFFF7, "which no file can have"),
        (-1, "leads into itself"),
        (0xFFF0, "which no file can have"),
    ],
)
def test_a_broken_chain_is_told(tmp_path, shape, value, words):
    """One that leads to a free, bad or missing cluster, or in a circle, is neither read nor replaced."""
    fat = Fat(tmp_path / "x.img", shape)
    cluster = first_cluster(fat, fat.put({"/file": os.urandom(5000)})["/file"])
    bad = 0x0FFFFFF7 if shape == "fat32" and value == 0xFFF7 else value
    write_entry(
        fat,
        cluster + 4,
        cluster if value < 0 else bad | (0x0FFF0000 if value == 0xFFF0 else 0) * (shape == "fat32"),
    )

    with fat.editor() as editor:
        for change in (lambda: editor.read("/file"), lambda: editor.put([Entry("/file", size_bytes=1)])):
            with pytest.raises(StalkerError, match="chain of clusters") as caught:
                change()
            assert words in caught.value.details
            assert "fsck.vfat" in caught.value.resolution
        assert editor.pieces() == []


def test_a_chain_that_ends_early_is_told(tmp_path):
    """A file of 5000 bytes in two clusters is not a file that can be read."""
    fat = Fat(tmp_path / "x.img", "fat16")
    cluster = first_cluster(fat, fat.put({"/file": os.urandom(5000)})["/file"])
    write_entry(fat, cluster + 1, 0xFFF8)

    with fat.editor() as editor, pytest.raises(StalkerError, match="fewer bytes"):
        editor.read("/file")


@pytest.mark.parametrize("shape", ["fat16", "fat32"])
def test_a_folder_that_goes_in_a_circle_is_told(tmp_path, shape):
    """It is not read for ever."""
    fat = Fat(tmp_path / "x.img", shape)
    cluster = first_cluster(fat, fat.put({"/folder/x": b"x"})["/folder/x"])
    write_entry(fat, cluster - 1, cluster - 1)

    with fat.editor() as editor, pytest.raises(StalkerError, match="chain of clusters"):
        editor.look(["/folder/x"])


def test_tables_that_differ_are_refused(tmp_path):
    """Nobody knows which is right; fsck.vfat repairs it, and it can be opened."""
    fat = Fat(tmp_path / "x.img", "fat32")
    write_entry(fat, 99, 0x0FFFFFFF, copies=1)

    with pytest.raises(StalkerError, match="copies of the allocation table") as caught, fat.editor():
        pass
    assert "fsck.vfat -a" in caught.value.resolution
    subprocess.run(["fsck.vfat", "-a", str(fat.path)], check=False, env=SURROUNDINGS, capture_output=True)
    fat.put({"/x": b"x"})
    assert fat.fsck() == ""


@pytest.mark.parametrize(
    ("shape", "place"), [("fat12", 37), ("fat16", 37), ("fat32", 65), ("fat16", 0), ("fat32", 0)]
)
def test_a_file_system_that_was_not_left_in_order_is_refused(tmp_path, shape, place):
    """Linux marks it in the boot sector, Windows in the table; fsck.vfat -a clears the mark."""
    fat = Fat(tmp_path / "x.img", shape)
    if place:
        fat.write(place, b"\1")
    else:
        write_entry(fat, 1, 0x7FFF if shape == "fat16" else 0x07FFFFFF)

    with pytest.raises(StalkerError, match="marked as not in order"), fat.editor():
        pass
    if place != 37 or shape != "fat12":
        subprocess.run(["fsck.vfat", "-a", str(fat.path)], check=False, env=SURROUNDINGS, capture_output=True)
        fat.put({"/x": b"x"})
        assert fat.fsck() == ""


# what is not ours


def test_high_bits_of_a_fat32_stay(tmp_path):
    """Four bits of each entry are nobody's: taking and giving back a cluster leaves them."""
    fat = Fat(tmp_path / "x.img", "fat32")
    cluster = first_cluster(fat, fat.put({"/file": os.urandom(3000)})["/file"])
    for near in range(cluster, cluster + 12):
        write_entry(fat, near, read_entry(fat, near) | (near % 15 + 1) << 28)

    fat.put({"/next": os.urandom(3000)})
    fat.put({"/file": b""})

    assert fat.fsck() == ""
    for copy in (0, 1):
        high = [read_entry(fat, near, copy) >> 28 for near in range(cluster, cluster + 12)]
        assert high == [near % 15 + 1 for near in range(cluster, cluster + 12)]
    assert read_entry(fat, cluster) & 0x0FFFFFFF == 0
    assert read_entry(fat, cluster + 6) & 0x0FFFFFFF == cluster + 7


@pytest.mark.parametrize("shape", ["fat12-2k", "fat16", "fat32"])
def test_bad_clusters_are_never_taken(tmp_path, shape):
    """Those that mkfs.vfat was told of are in no file, though the disk gets full."""
    bad = tmp_path / "bad"
    bad.write_text("3000\n3001\n3777\n")
    fat = Fat(tmp_path / "x.img", shape, 0, "-l", str(bad))
    with fat.editor() as editor:
        free = editor.free_bytes
        [*ranges] = editor.put([Entry("/all", size_bytes=free)])["/all"]
        editor.finish()

    assert fat.fsck() == ""
    for block in (3000, 3001, 3777):
        assert not any(one.start <= block * 1024 < one.start + one.length for one in ranges)
    assert len(ranges) == 3


def test_an_unused_half_byte_of_a_fat12_stays(tmp_path):
    """It lies behind the last of an odd number of entries."""
    fat = Fat(tmp_path / "x.img", "fat12")
    shape = geometry(fat)
    assert shape.last % 2 == 0
    for start in shape.tables:
        at = start + shape.table_bytes - 1
        fat.write(at, bytes([fat.bytes()[at] | 0xA0]))

    with fat.editor() as editor:
        put(fat.path, editor, {"/all": bytes(editor.free_bytes)})
        editor.finish()

    assert fat.bytes()[shape.tables[1] + shape.table_bytes - 1] == 0xAF


def test_an_fsinfo_is_kept_right(tmp_path):
    """A wrong number in it is put right, and the last cluster that was taken is named; fsck.vfat agrees."""
    fat = Fat(tmp_path / "x.img", "fat32")
    info = geometry(fat).info_start
    fat.write(info + 488, struct.pack("<II", 5, 0xFFFFFFFF))

    ranges = fat.put({"/file": os.urandom(3000)})

    free, last = struct.unpack_from("<II", fat.bytes(), info + 488)
    assert last == first_cluster(fat, ranges["/file"]) + 5
    assert free == opened(fat).free
    assert fat.fsck() == ""


# chains


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(WIDTHS)),
    st.integers(0, 2**32),
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
)
def test_chains_are_what_was_taken(shape, seed, counts):
    """In a table with holes every chain has its own clusters, and giving all back leaves it as it was."""
    with tempfile.TemporaryDirectory() as place:
        fat = Fat(Path(place) / "x.img", shape, litter=b"")
        table, some = opened(fat), random.Random(seed)
    before = table.free
    holes = [table.allocate(1)[0].first for _ in range(600)]
    for first in some.sample(holes, 300):
        table.give_back(first)
    table.settle()
    middle, pieces = table.free, table.pieces()
    mark = table.mark()

    chains = [table.allocate(count) for count in counts]

    taken = [
        cluster for runs in chains for run in runs for cluster in range(run.first, run.first + run.length)
    ]
    assert len(taken) == len(set(taken)) == sum(counts) == middle - table.free
    assert [table.runs(runs[0].first) for runs in chains] == chains
    table.go_back(mark)
    assert (table.free, table.pieces()) == (middle, pieces)
    assert middle == before - 300


def test_clusters_given_back_are_not_taken_before_they_may_be(tmp_path):
    """Until `settle` the disk needs what they hold."""
    table = opened(Fat(tmp_path / "x.img", "fat12"))
    all_of_it = table.free
    [run] = table.allocate(all_of_it)

    table.give_back(run.first)
    assert table.free == 0
    table.settle()
    assert table.free == all_of_it


def test_a_chain_grows_behind_its_end(tmp_path):
    """What is hung behind a cluster is part of its chain."""
    table = opened(Fat(tmp_path / "x.img", "fat12"))
    [first] = table.allocate(3)
    [other] = table.allocate(1)

    [more] = table.allocate(2, first.first + 2)

    assert table.runs(first.first) == [first, more]
    assert table.runs(other.first) == [Run(other.first, 1)]
