"""The zeros that a card needs: nothing is written for bytes that are not a file system."""

from __future__ import annotations

import os

import pytest

from stalker.formats.fs.fat.boot_sector import read_geometry
from stalker.formats.fs.required_zeros import required_zeros
from unit.helpers.fats import Fat, tool
from unit.helpers.loops import blank

MIB = 1 << 20


def zeros_of(path, start=0, size_bytes=None):
    with path.open("rb") as image:
        size = os.fstat(image.fileno()).st_size - start if size_bytes is None else size_bytes
        return list(required_zeros(lambda at, count: os.pread(image.fileno(), count, at), start, size))


@pytest.mark.parametrize("shape", ["fat12", "fat16", "fat16-sectors", "fat32", "fat32-reserved"])
def test_all_of_a_fat_before_its_data_counts(tmp_path, shape):
    """A free cluster is a zero: with old data in its table a FAT is full of files that were deleted."""
    fat = Fat(tmp_path / "f.img", shape, 1024)
    with fat.path.open("rb") as image:
        data_start = read_geometry(image.fileno(), 1024, fat.size_bytes).data_start

    assert zeros_of(fat.path, 1024) == [(1024, data_start)]


def test_a_fat_that_is_cut_off_before_its_data_has_none(tmp_path):
    fat = Fat(tmp_path / "f.img", "fat32")

    assert zeros_of(fat.path, 0, 4096) == []


def test_the_inode_tables_and_the_journal_of_an_ext4_count(tmp_path):
    """As dumpe2fs lists them."""
    image = blank(tmp_path / "e.img", 300 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", "-b", "4096", str(image))
    said = tool("dumpe2fs", str(image))

    found = zeros_of(image)

    tables = [line.split("at ")[1].split("-")[0] for line in said.splitlines() if "Inode table at" in line]
    assert {int(block) * 4096 for block in tables} < {begin for begin, _ in found}
    journal = next(line.split()[-1] for line in said.splitlines() if line.startswith("Total journal size"))
    assert found[0][1] - found[0][0] == int(journal.removesuffix("M")) * MIB


@pytest.mark.parametrize("content", [b"", os.urandom(4096), b"\xeb" + bytes(509) + b"\x55\xaa" + bytes(2000)])
def test_what_is_not_a_file_system_needs_none(tmp_path, content):
    """Random bytes are not a reason to write anything, or to fail."""
    path = tmp_path / "x"
    path.write_bytes(content)

    assert zeros_of(path, 0, 1 << 30) == []
