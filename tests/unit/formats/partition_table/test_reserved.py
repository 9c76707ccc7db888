"""What of a disk is in use: its table, read as sfdisk and we write it, and its partitions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stalker.formats.partition_table.reserved import Reserved, reserved_ranges
from unit.formats.partition_table.test_table import SFDISK, needs_sfdisk

SECTORS = 65536
GUID = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk.img"


def reserved(disk: Path, script: str, sectors: int = SECTORS, grown: int = 0) -> list[Reserved]:
    with disk.open("wb") as stream:
        stream.truncate(sectors * 512)
    subprocess.run([SFDISK, "-q", str(disk)], input=script, text=True, check=True)
    data = disk.read_bytes() + bytes(grown * 512)
    return sorted(reserved_ranges(lambda at, count: data[at : at + count], len(data)))


def in_sectors(found: list[Reserved]) -> list[tuple[int, int, str, int]]:
    assert not any(one.start % 512 or one.end % 512 for one in found)
    return [(one.start // 512, one.end // 512, one.what, one.number) for one in found]


@needs_sfdisk
def test_an_mbr_is_its_sector_and_the_extended_partition(disk: Path) -> None:
    """The tables of logical partitions stand in the extended one."""
    script = "label: dos\nstart=2048,size=2048,type=c\nstart=8192,size=16384,type=5\nstart=10240,size=2048\n"

    assert in_sectors(reserved(disk, script)) == [
        (0, 1, "the MBR", 0),
        (2048, 4096, "partition 1", 1),
        (8192, 24576, "the extended partition 2", 0),
        (10240, 12288, "partition 5", 5),
    ]


@needs_sfdisk
@pytest.mark.parametrize(("entries", "sectors"), [(128, 32), (56, 14)])
def test_a_gpt_is_both_its_copies_with_as_many_entries_as_it_has(
    disk: Path, entries: int, sectors: int
) -> None:
    """A shorter list leaves room for the boot loader of a board at 8 KiB."""
    script = f"label: gpt\ntable-length: {entries}\nstart=2048,size=2048,type={GUID}\n"

    assert in_sectors(reserved(disk, script)) == [
        (0, 1, "the MBR", 0),
        (1, 2, "the GPT at the beginning", 0),
        (2, 2 + sectors, "the GPT at the beginning", 0),
        (2048, 4096, "partition 1", 1),
        (SECTORS - 1 - sectors, SECTORS - 1, "the GPT at the end", 0),
        (SECTORS - 1, SECTORS, "the GPT at the end", 0),
    ]


@needs_sfdisk
def test_a_second_copy_that_is_not_at_the_end_counts(disk: Path) -> None:
    """The file was made longer; programs look for the copy at the end, too."""
    found = in_sectors(reserved(disk, f"label: gpt\nstart=2048,size=2048,type={GUID}\n", grown=100))

    assert [one[:2] for one in found if one[2] == "the GPT at the end"] == [
        (SECTORS - 33, SECTORS - 1),
        (SECTORS - 1, SECTORS),
        (SECTORS + 99, SECTORS + 100),
    ]
