"""Partition tables: what we write, sfdisk reads the same; what others write, we read the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.formats.partition_table.partition_types import LINUX_DATA
from stalker.formats.partition_table.table import (
    Entry,
    gpt_bytes,
    mbr_bytes,
    read_table,
)

if TYPE_CHECKING:
    from pathlib import Path

SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
needs_sfdisk = pytest.mark.skipif(not SFDISK, reason="sfdisk is not installed: apt-get install fdisk")
SECTORS = 1 << 21
DISK_GUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


def write(path: Path, entries: list[Entry], kind: str, sectors: int = SECTORS) -> bytes:
    """Make a disk with this table; return what it has at its beginning."""
    head, tail = (
        (mbr_bytes("1a2b3c4d", entries), b"") if kind == "mbr" else gpt_bytes(DISK_GUID, entries, sectors)
    )
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(sectors * 512)
        stream.seek(sectors * 512 - len(tail))
        stream.write(tail)
    return head


def read(path: Path):
    with path.open("rb") as stream:
        return read_table(lambda at, count: os.pread(stream.fileno(), count, at), path.stat().st_size)


def sfdisk(*arguments: str, **more) -> str:
    done = subprocess.run([SFDISK, *arguments], capture_output=True, text=True, check=True, **more)
    return done.stdout


def cut(kind: str, lengths: list[int], gaps: list[int], boot: int) -> list[Entry]:
    """Put partitions of these lengths after each other."""
    entries, at = [], 2048
    for number, (length, gap) in enumerate(zip(lengths, gaps, strict=True), 1):
        at += gap
        name = f"part{number}"
        own = str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) if kind == "gpt" else f"1a2b3c4d-{number:02x}"
        usual = LINUX_DATA if kind == "gpt" else "83"
        entries.append(Entry(number, at, length, usual, own, name if kind == "gpt" else "", number == boot))
        at += length
    return entries


PARTS = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(1, 400_000), min_size=count, max_size=count),
        st.lists(st.integers(0, 50_000), min_size=count, max_size=count),
        st.integers(0, count),
    )
)


@needs_sfdisk
@pytest.mark.parametrize("kind", ["mbr", "gpt"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=PARTS)
def test_sfdisk_reads_what_we_write(tmp_path, kind, parts):
    """The same partitions, types, ids and boot flags; and it finds nothing wrong. So do we."""
    entries = cut(kind, *parts)
    path = tmp_path / "disk"
    write(path, entries, kind)

    said = json.loads(sfdisk("--json", str(path)))["partitiontable"]
    verified = sfdisk("--verify", str(path))

    assert said["label"] == {"mbr": "dos", "gpt": "gpt"}[kind]
    assert said["id"].lower() == {"mbr": "0x1a2b3c4d", "gpt": DISK_GUID}[kind]
    flag = "bootable" if kind == "mbr" else "attrs"
    assert [
        (one["start"], one["size"], one["type"].lower(), bool(one.get(flag))) for one in said["partitions"]
    ] == [(one.start_sector, one.sectors, one.type, one.is_bootable) for one in entries]
    if kind == "gpt":
        assert [one["uuid"].lower() for one in said["partitions"]] == [one.uuid for one in entries]
        assert [one["name"] for one in said["partitions"]] == [one.name for one in entries]
    assert "No errors detected" in verified
    found = read(path)
    assert (found.kind, found.entries, found.problems) == (kind, tuple(entries), ())


@needs_sfdisk
@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_we_read_what_sfdisk_writes(tmp_path, label):
    """Also logical partitions, which we never make."""
    path = tmp_path / "disk"
    with path.open("wb") as stream:
        stream.truncate(SECTORS * 512)
    script = {
        "dos": "label: dos\nsize=8M, type=c, bootable\nsize=8M\ntype=5, size=64M\nsize=4M\n"
        "start=40960, size=4M\nstart=57344, size=4M, type=82\n",
        "gpt": "label: gpt\nsize=8M, name=a\nsize=8M, type=swap\n",
    }[label]
    sfdisk("-q", str(path), input=script)

    said = json.loads(sfdisk("--json", str(path)))["partitiontable"]["partitions"]
    found = read(path)

    assert [(one.start_sector, one.sectors, one.type) for one in found.entries] == [
        (one["start"], one["size"], one["type"].lower().zfill(2)) for one in said
    ]
    assert [one.number for one in found.entries] == [int(one["node"].removeprefix(str(path))) for one in said]
    assert found.problems == ()


def test_a_table_depends_on_nothing_else(tmp_path):
    """The same entries, the same bytes."""
    entries = cut("gpt", [2048, 4096], [0, 0], 0)

    assert gpt_bytes(DISK_GUID, entries, SECTORS) == gpt_bytes(DISK_GUID, entries, SECTORS)
    assert all(len(part) % 512 == 0 for part in gpt_bytes(DISK_GUID, entries, SECTORS))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (512 + 16, "the GPT at the beginning of the disk: the checksum of its header is wrong"),
        (1024 + 8, "the GPT at the beginning of the disk: the checksum of its entries is wrong"),
        (SECTORS * 512 - 512, "the GPT at the end of the disk: it is not there"),
    ],
)
def test_one_damaged_gpt_is_told_and_the_other_serves(tmp_path, where, said):
    """It is there twice for that."""
    path = tmp_path / "disk"
    entries = cut("gpt", [2048, 4096], [0, 0], 0)
    write(path, entries, "gpt")
    with path.open("r+b") as stream:
        stream.seek(where)
        byte = stream.read(1)[0]
        stream.seek(where)
        stream.write(bytes([byte ^ 1]))

    found = read(path)

    assert found.problems == (said,)
    assert found.entries == tuple(entries)


def test_two_tables_that_differ_are_told(tmp_path):
    """Each is whole, and they say different things."""
    path = tmp_path / "disk"
    write(path, cut("gpt", [2048, 4096], [0, 0], 0), "gpt")
    other, _ = gpt_bytes(DISK_GUID, cut("gpt", [2048, 8192], [0, 0], 0), SECTORS)
    with path.open("r+b") as stream:
        stream.write(other)

    assert "something else" in read(path).problems[0]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([Entry(1, 2048, 4096, "83"), Entry(2, 4096, 2048, "83")], "partitions 1 and 2 lie upon each other"),
        ([Entry(1, 2048, SECTORS, "83")], "partition 1 does not lie in the disk"),
        ([Entry(1, 0, 2048, "83")], "partition 1 does not lie in the disk"),
    ],
)
def test_partitions_that_cannot_be_are_told(tmp_path, entries, said):
    """A table may say anything."""
    path = tmp_path / "disk"
    write(path, entries, "mbr")

    assert read(path).problems == (said,)


@given(st.binary(min_size=512, max_size=8192))
def test_no_bytes_are_too_strange_to_be_read(data):
    """Whatever is there, it is a table or none, and never a crash."""
    data = data[:510] + b"\x55\xaa" + data[512:]

    found = read_table(lambda at, count: data[at : at + count], len(data))

    assert found.kind in {"mbr", "gpt"}


def test_a_chain_of_logical_partitions_without_an_end_is_left(tmp_path):
    """A table that points to itself is read once round, not for ever."""
    path = tmp_path / "disk"
    write(path, [Entry(1, 2048, 8192, "05")], "mbr")
    loop = mbr_bytes("00000000", [Entry(1, 16, 16, "83"), Entry(2, 0, 16, "05")])
    with path.open("r+b") as stream:
        stream.seek(2048 * 512)
        stream.write(loop)

    assert any("no end" in problem for problem in read(path).problems)
