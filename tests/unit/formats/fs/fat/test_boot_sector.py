"""The boot sector: what is a FAT that can be changed, and what is not."""

from __future__ import annotations

import struct

import pytest

from stalker.errors import StalkerError
from stalker.formats.fs.fat.boot_sector import read_geometry
from unit.helpers.fats import SHAPES, Fat, tool
from unit.helpers.loops import blank


def geometry(fat, size_bytes=None):
    with fat.path.open("rb") as image:
        return read_geometry(image.fileno(), fat.start, size_bytes or fat.size_bytes)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_geometry_is_what_fsck_says(tmp_path, shape):
    """Width, clusters, and where tables, root folder and data start, are those that fsck.vfat has."""
    fat = Fat(tmp_path / "x.img", shape)

    found = geometry(fat)

    said = tool("fsck.vfat", "-n", "-v", str(fat.path))
    assert f"{found.bits} bit entries" in said
    assert f"{found.last - 1} data clusters" in said
    assert f"{found.cluster_bytes} bytes per cluster" in said
    assert f"First FAT starts at byte {found.tables[0]} " in said
    assert f"{len(found.tables)} FATs" in said
    assert f"Data area starts at byte {found.data_start} " in said
    if found.root_bytes:
        assert f"Root directory starts at byte {found.root_start} " in said
    else:
        assert f"Root directory start at cluster {found.root_cluster} " in said


@pytest.mark.parametrize(
    ("at", "data", "why"),
    [
        (510, b"\0\0", "55 AA"),
        (11, struct.pack("<H", 500), "a sector of 500 bytes"),
        (13, b"\3", "3 sectors in a cluster"),
        (13, b"\0", "0 sectors in a cluster"),
        (14, b"\0\0", "no reserved sector"),
        (16, b"\0", "no table"),
        (21, b"\x10", "no kind of medium"),
        (17, b"\x10\0", "root directory of fixed size"),
        (42, b"\1\0", "an unknown version of FAT32"),
        (40, b"\x80\0", "not kept equal"),
        (44, struct.pack("<I", 1), "root directory would start at cluster 1"),
        (44, struct.pack("<I", 1 << 27), "root directory would start"),
        (32, struct.pack("<I", 50), "no space for data"),
        (32, struct.pack("<I", 1 << 20), "larger"),
        (32, struct.pack("<I", 1 << 30), "more than FAT32 can count"),
    ],
)
def test_an_invalid_boot_sector_is_refused_with_its_reason(tmp_path, at, data, why):
    """No damaged boot sector leads anywhere."""
    fat = Fat(tmp_path / "x.img", "fat32")
    fat.write(at, data)

    with pytest.raises(StalkerError, match="no FAT file system at byte 0") as caught:
        geometry(fat)
    assert why in caught.value.details


def test_a_fat_that_is_cut_off_is_refused(tmp_path):
    """It has to lie within its partition."""
    fat = Fat(tmp_path / "x.img", "fat16", 512)

    with pytest.raises(StalkerError, match="no FAT file system at byte 512") as caught:
        geometry(fat, fat.size_bytes - 512)
    assert "larger" in caught.value.details


@pytest.mark.parametrize("content", [b"", b"\x5a", bytes(512)])
def test_what_is_no_fat_is_refused(tmp_path, content):
    """Zeros, litter, an empty file."""
    path = blank(tmp_path / "x", 4096 if content else 0, content)
    with path.open("rb") as image, pytest.raises(StalkerError, match="no FAT"):
        read_geometry(image.fileno(), 0, 4096)


def test_an_ext4_is_refused(tmp_path):
    """The editor is not misled by another file system."""
    path = blank(tmp_path / "x", 4 << 20)
    tool("mkfs.ext4", "-q", str(path))
    with path.open("rb") as image, pytest.raises(StalkerError, match="no FAT"):
        read_geometry(image.fileno(), 0, 4 << 20)
