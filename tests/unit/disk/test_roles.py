"""The roles of partitions, by content and position."""

from __future__ import annotations

import pytest

from stalker.disk.inspect import PartitionFacts
from stalker.disk.roles import by_name, roles_of
from stalker.formats.fs.probe import FileSystemFacts
from stalker.formats.partition_table.table import Entry


def facts(*parts):
    """Return partitions one after the other: (number, kind, label)."""
    return [
        PartitionFacts(Entry(number, 2048 * at, 2048, "83"), FileSystemFacts(kind, label))
        for at, (number, kind, label) in enumerate(parts, 1)
    ]


@pytest.mark.parametrize(
    ("parts", "roles"),
    [
        ([(1, "fat32", ""), (2, "ext4", ""), (3, "ext4", "")], (1, 2, 3)),
        ([(1, "fat32", ""), (2, "ext4", "")], (1, 2, None)),
        ([(1, "ext4", "")], (None, 1, None)),
        ([(1, "ext4", ""), (2, "ext4", "data")], (None, 1, 2)),
        ([(1, "ext4", ""), (2, "ext4", "other")], (None, 1, None)),
        ([(1, "ext4", "a"), (2, "fat16", ""), (3, "squashfs", "")], (2, 3, None)),
        ([(1, "ext4", ""), (2, "fat16", "")], (2, 1, None)),
        ([(1, "", ""), (2, "fat32", ""), (3, "ext4", "")], (2, 3, None)),
        ([(1, "fat32", ""), (3, "ext4", ""), (2, "ext4", "")], (1, 3, None)),
        ([(2, "fat32", ""), (1, "ext4", ""), (3, "ext4", "")], (2, 1, 3)),
        ([(1, "fat32", ""), (2, "ext4", ""), (3, "swap", "")], (1, 2, None)),
        ([(1, "fat32", ""), (2, "ext4", ""), (3, "ext4", ""), (4, "ext4", "")], (1, 2, None)),
        ([(1, "fat32", ""), (2, "ext4", ""), (3, "ext4", ""), (4, "ext4", "data")], (1, 2, 4)),
        ([], (None, None, None)),
    ],
)
def test_roles_follow_from_content_and_position(parts, roles):
    found = roles_of(facts(*parts), "data")

    numbers = (one and one.entry.number for one in (found.boot, found.root, found.data))
    assert tuple(numbers) == roles


def test_a_partition_is_found_by_its_name_in_the_table_where_that_is_one():
    """Two of a name are no name for one: both are found by their numbers."""
    names = ["esp", "a", "a", ""]
    found = [
        PartitionFacts(Entry(number, 2048 * number, 2048, "83", name=name), FileSystemFacts("ext4"))
        for number, name in enumerate(names, 1)
    ]

    named = by_name(found, roles_of(found[:1], "data"))

    assert {name for name in named if name.startswith("PART")} == {"PARTLABEL=esp"}
    assert named["PARTLABEL=esp"] is named["1"]
