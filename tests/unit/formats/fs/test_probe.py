"""The kind of a file system and its numbers, as the tools that made it say."""

from __future__ import annotations

import os
import shutil

import pytest

from stalker.formats.fs.probe import FileSystemFacts, inspect
from unit.helpers.fats import SHAPES, Fat, put, tool
from unit.helpers.loops import blank

MIB = 1 << 20
ID = "11111111-2222-4333-8444-555555555555"


def facts(path, start=0, size_bytes=None):
    with path.open("rb") as image:
        size = os.fstat(image.fileno()).st_size - start if size_bytes is None else size_bytes
        return inspect(lambda at, count: os.pread(image.fileno(), count, at), start, size)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fat_is_known_by_its_kind_label_serial_and_used_bytes(tmp_path, shape):
    """The kind as Linux decides it: a FAT32 with few clusters is a FAT32 too, with its own label."""
    fat = Fat(tmp_path / "f.img", shape, 512, "-n", "MY LABEL", "-i", "1234abcd")
    empty = facts(fat.path, 512, fat.size_bytes)
    with fat.editor() as editor:
        free_bytes = editor.free_bytes
        put(fat.path, editor, {"/a": bytes(100_000)})
        editor.finish()
        taken_bytes = free_bytes - editor.free_bytes

    found = facts(fat.path, 512, fat.size_bytes)

    kind = "fat16" if shape == "one-table" else shape.partition("-")[0]
    assert (found.kind, found.label, found.uuid) == (kind, "MY LABEL", "1234-ABCD")
    assert found.size_bytes - free_bytes == empty.used_bytes
    assert found.used_bytes - empty.used_bytes == taken_bytes


def test_a_small_fat32_is_not_taken_for_a_fat16(tmp_path):
    """mkfs.vfat makes one on request, and Linux mounts it as a FAT32."""
    image = blank(tmp_path / "f.img", 8 * MIB)
    tool("mkfs.vfat", "-F32", "-s1", "-n", "SMALL", str(image))

    found = facts(image)

    assert (found.kind, found.label) == ("fat32", "SMALL")


def test_a_fat_without_a_label_has_none(tmp_path):
    """`NO NAME` stands for none."""
    assert facts(Fat(tmp_path / "f.img", "fat16").path).label == ""


def test_a_fat_that_is_cut_off_tells_its_kind_but_not_what_is_free(tmp_path):
    fat = Fat(tmp_path / "f.img", "fat32")
    os.truncate(fat.path, 64 << 10)

    found = facts(fat.path)

    assert (found.kind, found.size_bytes, found.used_bytes) == ("fat32", fat.size_bytes, None)


@pytest.mark.parametrize(
    ("kind", "option"), [("ext2", "^has_journal"), ("ext3", "^extent"), ("ext4", "extent")]
)
def test_an_ext_is_known_by_its_kind_label_id_and_numbers(tmp_path, kind, option):
    image = blank(tmp_path / "e.img", 16 * MIB)
    tool("mke2fs", "-q", "-t", kind, "-O", option, "-L", "root", "-U", ID, str(image))

    found = facts(image)

    assert (found.kind, found.label, found.uuid, found.size_bytes) == (kind, "root", ID, 16 * MIB)
    assert found.inodes == 11
    assert 0 < found.used_bytes < 16 * MIB


@pytest.mark.skipif(not shutil.which("mksquashfs"), reason="squashfs-tools is not installed")
def test_a_squashfs_is_known_with_its_size(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_text("a")
    tool("mksquashfs", str(tmp_path / "in"), str(tmp_path / "s.img"), "-quiet", "-no-progress")

    found = facts(tmp_path / "s.img")

    assert (found.kind, found.inodes) == ("squashfs", 2)
    assert 0 < found.used_bytes <= (tmp_path / "s.img").stat().st_size


def test_a_swap_is_known_with_its_label(tmp_path):
    image = blank(tmp_path / "w.img", MIB)
    image.chmod(0o600)
    tool("mkswap", "-q", "-L", "pages", "-U", ID, str(image))

    assert facts(image) == FileSystemFacts("swap", "pages", ID, MIB, 4096)


@pytest.mark.parametrize(
    "content", [b"", b"hsqs", b"x" * 4096, bytes(1 << 16), b"\xeb" + bytes(509) + b"\x55\xaa"]
)
def test_what_is_not_a_file_system_has_no_kind(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)

    assert facts(path) == FileSystemFacts()
