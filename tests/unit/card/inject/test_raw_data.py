"""Raw data at offsets of an image: where it may stand, and that all of it is written or nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from stalker.card.inject.raw_data import RAW_MAX_BYTES, put_raw
from stalker.disk.edit.open import Editors, NamedPartitions
from stalker.disk.edit.view import FileView, Overlay
from stalker.disk.inspect import PartitionFacts
from stalker.errors import StalkerError
from stalker.formats.fs.probe import FileSystemFacts
from stalker.formats.partition_table.table import Entry, gpt_bytes, mbr_bytes
from stalker.model.card import RawData, Source
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

SECTORS = 4096
SIZE = SECTORS * 512
PLACE = Place("card.yaml", 3, 5)
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ENTRIES = [Entry(1, 1024, 512, "0c"), Entry(2, 2048, 1024, "83")]
GPT_ENTRIES = [
    Entry(one.number, one.start_sector, one.sectors, LINUX, LINUX[:-1] + str(one.number)) for one in ENTRIES
]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[BinaryIO]:
    with (tmp_path / "disk.img").open("w+b", buffering=0) as stream:
        stream.truncate(SIZE)
        os.pwrite(stream.fileno(), mbr_bytes("1a2b3c4d", ENTRIES), 0)
        yield stream


def with_gpt(image: BinaryIO) -> None:
    head, tail = gpt_bytes(LINUX, GPT_ENTRIES, SECTORS)
    os.pwrite(image.fileno(), head, 0)
    os.pwrite(image.fileno(), tail, SIZE - len(tail))


def put(
    image: BinaryIO, *raws: RawData, fetched: Sequence[Path] = (), view=None
) -> tuple[Editors, list[str]]:
    view = view or FileView(image.fileno())
    facts = {str(one.number): PartitionFacts(one, FileSystemFacts("")) for one in ENTRIES}
    editors = Editors(view, NamedPartitions(facts), mtime_s=0)
    return editors, put_raw(raws, dict(zip(raws, fetched, strict=False)), editors, view)


def raw(offset: int, data: bytes | int = b"boot", partition: str = "") -> RawData:
    return RawData(offset, PLACE, b"x" * data if isinstance(data, int) else data, partition=partition)


def test_data_is_written_at_its_offset_when_the_image_is_finished(image: BinaryIO, tmp_path: Path) -> None:
    """Before the first partition, of the configuration and of a file; all other bytes stay."""
    (tmp_path / "u-boot.bin").write_bytes(b"u" * 700)
    was = bytearray(os.pread(image.fileno(), SIZE, 0))
    from_file = RawData(8192, PLACE, source=Source("u-boot.bin"))

    editors, said = put(image, from_file, raw(1024), fetched=[tmp_path / "u-boot.bin"])

    assert os.pread(image.fileno(), SIZE, 0) == was
    editors.finish()
    was[8192 : 8192 + 700], was[1024:1028] = b"u" * 700, b"boot"
    assert os.pread(image.fileno(), SIZE, 0) == was
    assert said == ["raw data: 4 bytes at 1024", "raw data: 700 bytes at 8192"]


def test_what_goes_under_the_record_is_in_whole_sectors(image: BinaryIO) -> None:
    """It says what was there, and a second time nothing is to be written."""
    os.pwrite(image.fileno(), b"." * 512, 1024)

    editors, _ = put(image, raw(1024))
    assert editors.pieces() == [(1024, b"boot" + b"." * 508)]
    editors.finish()
    assert put(image, raw(1024))[0].pieces() == []


def test_a_patch_has_it(image: BinaryIO) -> None:
    overlay = Overlay(image.fileno())

    put(image, raw(1024), view=overlay)[0].finish()

    assert overlay.changes() == [(1024, b"boot" + bytes(508))]
    assert os.pread(image.fileno(), 4, 1024) == bytes(4)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (raw(0), "the MBR has the bytes from 0 to 512"),
        (raw(0, 8192), "the MBR"),
        (raw(1024 * 512 - 512, 513), "partition 1 has the bytes from 524288 to 786432"),
        (raw(1500 * 512), "partition 1"),
        (raw(0x80000, 4 << 10), "`partition: 1` would write over it"),
        (raw(512, 2000 * 512), "partition 1"),
        (raw(1024 * 512, 4, "2"), "partition 2 has the bytes from 1048576 to 1572864"),
        (raw(3072 * 512 - 512, 513, "2"), "partition 2 has the bytes"),
        (raw(2048, 4, "2"), "partition 2 has the bytes"),
        (raw(2048, 4, "7"), "no partition '7'"),
        (raw(SIZE - 512, 513), f"the image has {SIZE} bytes"),
        (raw(SIZE), f"the image has {SIZE} bytes"),
    ],
)
def test_what_would_stand_upon_something_else_is_refused(image: BinaryIO, one: RawData, says: str) -> None:
    with pytest.raises(StalkerError) as caught:
        put(image, one)

    assert says in f"{caught.value.brief} {caught.value.details} {caught.value.resolution}"
    assert "card.yaml:3:5" in caught.value.brief or "no partition" in caught.value.brief


@pytest.mark.parametrize(
    "one", [raw(512, 512 * 1023), raw(3072 * 512, 1024 * 512), raw(1536 * 512, 512 * 512)]
)
def test_what_is_free_up_to_its_last_byte_is_taken(image: BinaryIO, one: RawData) -> None:
    """Between the table and the first partition, between two, and after the last."""
    put(image, one)[0].finish()

    assert os.pread(image.fileno(), len(one.content or b""), one.offset) == one.content


@pytest.mark.parametrize(
    ("offset", "says"),
    [
        (0, "the MBR"),
        (512, "the GPT at the beginning"),
        (33 * 512, "the GPT at the beginning"),
        (34 * 512, ""),
        (SIZE - 34 * 512, ""),
        (SIZE - 33 * 512, "the GPT at the end"),
        (SIZE - 512, "the GPT at the end"),
    ],
)
def test_a_gpt_is_kept_at_both_ends(image: BinaryIO, offset: int, says: str) -> None:
    with_gpt(image)

    if not says:
        put(image, raw(offset, 512))
        return
    with pytest.raises(StalkerError) as caught:
        put(image, raw(offset, 512))
    assert says in caught.value.details


def test_a_partition_that_is_named_is_written_over(image: BinaryIO) -> None:
    editors, said = put(image, raw(1024 * 512, 512 * 512, "1"))
    editors.finish()

    assert os.pread(image.fileno(), 512 * 512, 1024 * 512) == b"x" * 512 * 512
    assert said == ["raw data: 262144 bytes at 524288, in partition 1"]


def test_a_partition_whose_file_system_is_changed_is_not_written_over(
    image: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one writes the other would not know."""
    monkeypatch.setattr(Editors, "is_open", lambda _, name: name == "1")

    with pytest.raises(StalkerError, match="cannot be put") as caught:
        put(image, raw(1024 * 512, 4, "1"))
    assert "used by other parts" in caught.value.details


def test_all_that_is_wrong_is_reported_and_nothing_written(image: BinaryIO) -> None:
    was = os.pread(image.fileno(), SIZE, 0)

    with pytest.raises(StalkerError) as caught:
        put(image, raw(0), raw(8192), raw(1024 * 512))

    assert "the MBR" in caught.value.details
    assert "partition 1" in caught.value.details
    assert os.pread(image.fileno(), SIZE, 0) == was


def test_two_may_touch_and_not_overlap(image: BinaryIO) -> None:
    """In any order."""
    put(image, raw(2048, 512), raw(1536, 512))

    with pytest.raises(StalkerError) as caught:
        put(image, raw(2048), raw(1024, 1025))
    assert "the one at 1024 reaches to 2049" in f"{caught.value.brief} {caught.value.details}"


@pytest.mark.parametrize(("size", "says"), [(0, "is empty"), (RAW_MAX_BYTES + 1, "is larger than 64 MiB")])
def test_a_file_that_cannot_be_a_boot_loader_is_refused(
    image: BinaryIO, tmp_path: Path, size: int, says: str
) -> None:
    path = tmp_path / "u-boot.bin"
    path.touch()
    os.truncate(path, size)

    with pytest.raises(StalkerError, match=says):
        put(image, RawData(1024, PLACE, source=Source("u-boot.bin")), fetched=[path])
