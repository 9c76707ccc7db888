"""The content of a partition, counted and checked as its tar passes by."""

from __future__ import annotations

import pytest

from stalker.artifacts.disk.contents import Part
from stalker.errors import StalkerError
from stalker.model.artifacts import Partition
from stalker.model.diagnostics import Place
from unit.helpers.tars import folder, link, make_tar


def counted(*members):
    """Pass a tar through a FAT partition's part."""
    part = Part(Partition("boot", Place("t.hjson"), "vfat"))
    list(part.counted([make_tar(*members)]))
    return part


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([link("kernel", "vmlinuz")], "a symbolic link"),
        ([("a:b", b"")], "it has :"),
        ([("caf\udce9", b"")], "not UTF-8"),
        ([("end.", b"")], "ends in a dot"),
        ([("x" * 256, b"")], "255 fit"),
        ([("kernel", b""), ("Kernel", b"")], "only in case"),
        ([folder("Boot"), ("Boot/a", b""), ("boot/A", b"")], "only in case"),
    ],
)
def test_what_a_fat_cannot_hold_is_refused(members, why):
    """By the rule of the FAT writer, so that an artifact and an injection refuse the same names."""
    with pytest.raises(StalkerError, match="FAT of partition 'boot'") as error:
        counted(*members)

    assert why in error.value.details


def test_names_that_a_fat_keeps_apart_are_two_files():
    """A capital with two small letters is not equal to them; the Kelvin sign is not a K."""
    assert counted(("ß", b""), ("SS", b""), ("k", b""), ("\N{KELVIN SIGN}", b"")).measure.inodes == 4
