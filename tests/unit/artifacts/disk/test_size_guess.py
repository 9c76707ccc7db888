"""Sizes of partitions, guessed before a disk is made: from the last time, or from the image."""

from __future__ import annotations

import pytest

from stalker.artifacts.disk.size_guess import Guess, Size
from stalker.model.artifacts import Disk, Partition
from stalker.model.diagnostics import Place

PLACE = Place("t.hjson")
MIB = 1 << 20
BOOT = Partition("boot", PLACE, "vfat", size_bytes=64 * MIB)
ROOT = Partition("root", PLACE, "ext4", source="/")
DATA = Partition("data", PLACE, "ext4", source="/data")


def guess(tmp_path, *parts, **more):
    return Guess(Disk("x.img", "mbr", parts, **more), tmp_path / "sizes/x.json")


def never():
    pytest.fail("the size of the image is not needed")


def test_the_sizes_of_the_last_time_are_the_guess(tmp_path):
    """Then the engine is not asked for the size of the image."""
    sizes = {"root": Size(300 * MIB, 5000)}
    guess(tmp_path, BOOT, ROOT).note(sizes)

    assert guess(tmp_path, BOOT, ROOT).sizes(never) == sizes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": 1}', '{"other": {"size_bytes": 1, "inodes": 1}}'])
def test_what_cannot_be_used_is_guessed_from_the_image(tmp_path, text):
    """A damaged file, or one of other partitions; the root holds the content of the image."""
    file = tmp_path / "sizes/x.json"
    file.parent.mkdir()
    file.write_text(text)

    found = guess(tmp_path, BOOT, ROOT).sizes(lambda: 200 * MIB)

    assert list(found) == ["root"]
    assert found["root"].size_bytes > 200 * MIB


def test_two_partitions_without_a_last_time_are_not_guessed(tmp_path):
    assert guess(tmp_path, ROOT, DATA).sizes(never) is None


def test_a_guess_that_does_not_fit_the_disk_is_none(tmp_path):
    """The right sizes may fit."""
    one = guess(tmp_path, BOOT, ROOT, size_bytes=200 * MIB, size_words="200MiB")

    assert one.sizes(lambda: 900 * MIB) is None
