from __future__ import annotations

import pytest

from stalker.config import digest_directory
from unit.config.artifacts.space import ROOT, disk, read


def test_a_folder_counts_by_its_content(space):
    """Who changes a file of it gets another disk."""
    text = disk("", "data: { filesystem: 'ext4', directory: 'data' }")
    first = read(space, text).kind.partitions[0]
    space.write("data/x", "other")
    second = space.read().stalks[0].artifacts[0].kind.partitions[0]

    assert first.directory == "data"
    assert first.directory_digest != second.directory_digest == digest_directory(str(space.root / "data"))


def test_a_partition_can_hold_another_artifact(space):
    """A tar or a folder of the same stalk, wherever it stands."""
    text = disk("", "a: { filesystem: 'ext4', artifact: 'repo' }") + "\n repo: { repo: 'r', from: '/store' }"

    assert read(space, text).kind.partitions[0].artifact == "repo"


def test_partitions_may_be_nested(space):
    """/boot and /boot/firmware are two partitions of many systems."""
    text = disk(
        "",
        "a: { filesystem: 'vfat', from: '/boot/firmware' }\n b: { filesystem: 'ext4', from: '/boot' }\n"
        + ROOT,
    )

    assert [one.source for one in read(space, text).kind.partitions] == ["/boot/firmware", "/boot", "/"]


@pytest.mark.parametrize(
    ("table", "type_of"), [("mbr", "ef"), ("gpt", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b")]
)
def test_an_efi_system_partition_has_a_name(space, table, type_of):
    """Nobody knows its GUID by heart."""
    text = disk(f"table: '{table}'", "a: { filesystem: 'vfat', size: '64MiB', type: 'esp' }")

    assert read(space, text).kind.partitions[0].type == type_of
