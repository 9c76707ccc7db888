"""What a base is, and which bases and sizes are refused, before any tool is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from disks import partition_digest
from stalker.card.partitions import DataRequest, frame, inspect_base
from stalker.disk.inspect import read_disk
from stalker.errors import PlanError, StalkerError
from unit.helpers.card_bases import DATA, Part, make_base, tool

if TYPE_CHECKING:
    from stalker.toolbox.container import Tool

MIB = 1 << 20
NO_TOOL = cast("Tool", None)
WISH = DataRequest("seed")
SMALL = Part("vfat", 4, "BOOT", type="c")
SYSTEM = Part("ext4", 8, "root", files=0)


def refused(base, size_bytes=400 * MIB, wish=WISH):
    """Return what is said of a base that is refused: it has not been written to."""
    size = base.stat().st_size
    before = partition_digest(base, 0, size)
    with pytest.raises(StalkerError) as caught:
        frame(base, inspect_base(base), NO_TOOL, "/out", size_bytes=size_bytes, data=wish)
    assert caught.value.resolution
    assert base.stat().st_size == size
    assert partition_digest(base, 0, size) == before
    return f"{caught.value.brief}; {caught.value.details}; {caught.value.resolution}"


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_a_base_tells_where_its_data_begins(tmp_path, label):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM, DATA], label, more_bytes=700)

    found = inspect_base(base).base

    data = read_disk(base).partitions[2]
    assert found.size_bytes == base.stat().st_size
    assert (found.system_bytes, found.data_bytes) == (data.start_bytes, 16 * MIB)
    assert found.shape is not None
    assert found.shape.size_bytes == 16 * MIB
    assert found.tail_bytes == (0 if label == "dos" else 33 * 512)
    assert not found.is_declared


def test_a_base_without_data_tells_where_it_ends(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM], more_bytes=5000)

    found = inspect_base(base).base

    assert (found.system_bytes, found.data_bytes, found.shape) == (base.stat().st_size - 5000, 0, None)


def test_an_unchanged_base_is_inspected_once(tmp_path):
    """A base that another program wrote to meanwhile is inspected again."""
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM, DATA])
    known = inspect_base(base)

    assert inspect_base(base, known=known) is known
    os.utime(base, ns=(0, 0))
    assert inspect_base(base, known=known) is not known


def test_partitions_have_the_names_of_their_roles_and_their_numbers(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM, DATA])

    named = inspect_base(base).partitions

    numbers = {name: one.entry.number for name, one in named.items()}
    assert numbers == {"boot": 1, "root": 2, "data": 3, "1": 1, "2": 2, "3": 3}


def test_a_smaller_image_than_its_base_is_refused(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM])

    assert "smaller than its base" in refused(base, base.stat().st_size - 1)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_no_room_for_data_is_refused_with_what_would_do(tmp_path, label):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM], label)

    with pytest.raises(PlanError, match="no room for a data partition") as caught:
        frame(base, inspect_base(base), NO_TOOL, "/out", size_bytes=base.stat().st_size + MIB, data=WISH)

    assert "output.size: auto" in caught.value.resolution


def test_four_partitions_are_refused(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM, SYSTEM, SMALL])

    assert "all 4 entries of its table are taken" in refused(base)


@pytest.mark.parametrize("data", ["", "data"])
def test_an_extended_partition_is_refused(tmp_path, data):
    """Whether data would be added, or the last one is a logical partition."""
    base = tmp_path / "base.img"
    with base.open("xb") as file:
        file.truncate(64 * MIB)
    lines = [
        "label: dos",
        "start=2048, size=4M, type=c",
        "start=12288, size=50M, type=5",
        "start=14336, size=16M",
    ]
    tool("sfdisk", "-q", str(base), text="\n".join([*lines, "start=49152, size=16M"]))
    for start in (14336, 49152):
        argv = [
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-L",
            data,
            "-E",
            f"offset={start * 512}",
            str(base),
            "16M",
        ]
        tool(*argv)

    assert "extended partition" in refused(base)


def test_a_base_for_large_sectors_is_refused(tmp_path):
    """Its table counts in 4096 bytes: there its file system is found."""
    base = tmp_path / "base.img"
    with base.open("xb") as file:
        file.truncate(64 * MIB)
    tool("sfdisk", "-q", str(base), text="label: dos\nstart=2048, size=4096\n")
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={2048 * 4096}", str(base), "16M")

    assert "sectors of 4096 bytes" in refused(base)


def test_a_cut_base_is_refused(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM])
    os.truncate(base, base.stat().st_size - MIB)

    assert "partition 2 does not lie in the disk" in refused(base)


def test_a_base_without_a_table_is_refused(tmp_path):
    base = tmp_path / "base.img"
    base.write_bytes(b"no disk" * 1000)

    assert "is not a disk image; it holds text" in refused(base)


def test_a_hybrid_is_refused(tmp_path):
    base = make_base(tmp_path / "base.img", [SMALL, SYSTEM], "gpt")
    with base.open("r+b") as file:
        file.seek(446 + 16 + 4)
        file.write(b"\x0c")

    assert "hybrid" in refused(base)
