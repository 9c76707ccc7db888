"""Ids of a disk: made of names, so the same each time."""

import re

import pytest

from stalker.disk.ids import ids_of, marks_of
from stalker.model.artifacts import Disk, Partition
from stalker.model.diagnostics import Place

PLACE = Place("t.hjson")


def disk(table, **more):
    parts = (
        Partition("boot", PLACE, "vfat", label="BOOT"),
        Partition("root", PLACE, "ext4"),
        Partition("ro", PLACE, "squashfs"),
    )
    return Disk("x.img", table, parts, **more)


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_the_same_names_give_the_same_ids_and_others_other_ones(table):
    one, again, other = (ids_of(disk(table), name) for name in ("t/s/a", "t/s/a", "t/s/b"))

    assert one == again
    assert one.disk != other.disk
    partuuids = [ids.partuuid for found in (one, other) for ids in found.partitions.values()]
    assert len(set(partuuids)) == 6


def test_each_file_system_has_an_id_of_its_form():
    """A FAT a serial number, a squashfs none; in an MBR a partition is disk id and number."""
    ids = ids_of(disk("mbr", disk_id="1a2b3c4d"), "t/s/a")

    assert re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", ids.partitions["boot"].uuid)
    assert ids.partitions["ro"].uuid == ""
    assert ids.partitions["root"].partuuid == "1a2b3c4d-02"
    marks = marks_of(disk("mbr", disk_id="1a2b3c4d"), ids)
    assert marks["@LABEL:boot@"] == "BOOT"
    assert "@UUID:ro@" not in marks
    assert "@LABEL:root@" not in marks
