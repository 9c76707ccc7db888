"""Partition tables changed where they stand: what is asked for changes, and not one byte besides."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import uuid
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import StalkerError
from stalker.formats.partition_table.partition_types import LINUX_DATA
from stalker.formats.partition_table.resize import free_slot, is_hybrid, patches, sound_table, tail_bytes
from stalker.formats.partition_table.table import Entry, gpt_bytes, mbr_bytes, read_table

SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
DISK_GUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
NEW_GUID = "2c5f39cb-3fb2-42e3-994f-1127e4ddb538"


class Bytes:
    """A disk in memory: only what was written is kept, by sector."""

    def __init__(self, size_bytes):
        self.size_bytes = size_bytes
        self.sectors = {}

    def read(self, at, count):
        count = max(min(count, self.size_bytes - at), 0)
        first, last = at // 512, (at + count + 511) // 512
        data = b"".join(self.sectors.get(number, bytes(512)) for number in range(first, last))
        return data[at - first * 512 :][:count]

    def write(self, at, data):
        assert at + len(data) <= self.size_bytes
        first, last = at // 512, (at + len(data) + 511) // 512
        whole = bytearray(b"".join(self.sectors.get(number, bytes(512)) for number in range(first, last)))
        whole[at - first * 512 : at - first * 512 + len(data)] = data
        for number in range(first, last):
            self.sectors[number] = bytes(whole[(number - first) * 512 :][:512])

    def copy(self, size_bytes):
        other = Bytes(size_bytes)
        other.sectors = dict(self.sectors)
        return other


def entries_of(kind, lengths, gaps):
    """Put partitions of these lengths after each other."""
    found, at = [], 2048
    for number, (length, gap) in enumerate(zip(lengths, gaps, strict=True), 1):
        at += gap
        own = str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) if kind == "gpt" else f"1a2b3c4d-{number:02x}"
        usual = LINUX_DATA if kind == "gpt" else "83"
        name = f"part{number}" if kind == "gpt" else ""
        found.append(Entry(number, at, length, usual, own, name, is_bootable=number == 1))
        at += length
    return found


def disk_of(kind, entries, sectors):
    """Make a disk with boot code and a table."""
    disk = Bytes(sectors * 512)
    if kind == "mbr":
        disk.write(0, mbr_bytes("1a2b3c4d", entries))
    else:
        head, tail = gpt_bytes(DISK_GUID, entries, sectors)
        disk.write(0, head)
        disk.write(sectors * 512 - len(tail), tail)
    disk.write(0, random.Random(1).randbytes(440))
    return disk


def table_of(disk):
    return sound_table(disk.read, disk.size_bytes, "base.img")


def changed(disk, size_bytes, entry=None, *, is_new=False):
    """Return the disk at another size, with the table that fits."""
    other = disk.copy(size_bytes)
    for start, data in patches(disk.read, table_of(disk), size_bytes, entry, is_new=is_new):
        other.write(start, data)
    return other


CUTS = st.integers(1, 3).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(1, 1 << 24), min_size=count, max_size=count),
        st.lists(st.integers(0, 50_000), min_size=count, max_size=count),
    )
)


@pytest.mark.parametrize("kind", ["mbr", "gpt"])
@settings(max_examples=80, deadline=None)
@given(cuts=CUTS, tail=st.integers(33, 90_000), more=st.integers(0, 1 << 24), is_new=st.booleans())
def test_one_entry_changes_and_all_others_stay(kind, cuts, tail, more, is_new):
    """A new one, or the last one made larger; the boot code, the ids and the flags are as they were."""
    entries = entries_of(kind, *cuts)
    end = entries[-1].start_sector + entries[-1].sectors
    disk = disk_of(kind, entries, end + tail)
    size = disk.size_bytes + more * 512
    room = (size - tail_bytes(table_of(disk), disk.read)) // 512 - end
    last = entries[-1]
    if is_new:
        if room < 1:
            return
        partuuid = NEW_GUID if kind == "gpt" else "1a2b3c4d-%02x" % (last.number + 1)
        name = "data" if kind == "gpt" else ""
        wanted = Entry(last.number + 1, end, room, last.type, partuuid, name)
        expected = [*entries, wanted]
    else:
        wanted = Entry(
            last.number,
            last.start_sector,
            last.sectors + room,
            last.type,
            last.uuid,
            last.name,
            last.is_bootable,
        )
        expected = [*entries[:-1], wanted]

    other = changed(disk, size, wanted, is_new=is_new)

    found = read_table(other.read, size)
    assert found.entries == tuple(expected)
    assert found.problems == ()
    assert found.disk_id == table_of(disk).disk_id
    assert other.read(0, 446) == disk.read(0, 446)
    written = {
        number for number in other.sectors if other.sectors[number] != disk.sectors.get(number, bytes(512))
    }
    heads = {0} if kind == "mbr" else {0, 1, 2 + (wanted.number - 1) // 4}
    assert all(number in heads or number >= size // 512 - 33 for number in written)


@pytest.mark.parametrize("more", [1, 32, 33, 34, 100_000])
def test_the_second_gpt_goes_to_the_end_of_a_larger_disk(more):
    """Nothing between the two changes, not even where it stood before."""
    disk = disk_of("gpt", entries_of("gpt", [4096], [0]), 100_000)

    other = changed(disk, disk.size_bytes + more * 512)

    found = read_table(other.read, other.size_bytes)
    assert found.problems == ()
    assert found.entries == table_of(disk).entries
    assert int.from_bytes(other.read(446 + 12, 4), "little") == other.size_bytes // 512 - 1
    usable = struct.unpack_from("<2Q", other.read(512, 512), 40)
    assert usable == (34, other.size_bytes // 512 - 34)


@pytest.mark.parametrize("kind", ["mbr", "gpt"])
def test_nothing_is_written_where_nothing_changes(kind):
    disk = disk_of(kind, entries_of(kind, [4096], [0]), 100_000)

    assert patches(disk.read, table_of(disk), disk.size_bytes) == []


def test_a_gpt_of_another_shape_keeps_it():
    """Fewer and larger entries, a longer header, attributes: some tools make such."""
    disk = Bytes(100_000 * 512)
    raw = bytearray(8 * 256)
    first = entries_of("gpt", [4096], [0])[0]
    fields = (uuid.UUID(first.type).bytes_le, uuid.UUID(first.uuid).bytes_le, 2048, 6143, 1 << 60 | 4)
    raw[:128] = struct.pack("<16s16sQQQ72s", *fields, "part1".encode("utf-16-le"))
    raw[128:256] = b"own".ljust(128, b"!")
    guid = uuid.UUID(DISK_GUID).bytes_le
    for own, other, array in ((1, 99_999, 64), (99_999, 1, 99_900)):
        head = struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 96, 0, 0, own, other, 100, 99_800, guid, array, 8, 256,
            zlib.crc32(raw),
        ) + b"tail"  # fmt: skip
        head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
        disk.write(own * 512, head.ljust(512, b"\0"))
        disk.write(array * 512, bytes(raw))
    disk.write(0, mbr_bytes("00000000", [Entry(1, 1, 99_999, "ee")]))
    assert table_of(disk).problems == ()

    other = changed(disk, 200_000 * 512, Entry(8, 8192, 100, LINUX_DATA, NEW_GUID, "data"), is_new=True)

    found = read_table(other.read, other.size_bytes)
    assert found.problems == ()
    assert [one.number for one in found.entries] == [1, 8]
    assert other.read(64 * 512, 7 * 256) == bytes(raw[: 7 * 256])
    assert other.read(512 + 92, 4) == b"tail"
    assert struct.unpack_from("<I", other.read(512, 512), 12)[0] == 96


def test_a_disk_that_was_made_larger_before_is_sound():
    """Its second GPT stands where it ended once."""
    disk = disk_of("gpt", entries_of("gpt", [4096], [0]), 100_000).copy(150_000 * 512)

    other = changed(disk, 150_000 * 512, Entry(2, 8192, 4096, LINUX_DATA, NEW_GUID, "data"), is_new=True)

    assert read_table(other.read, other.size_bytes).problems == ()


# refusals


def refused(disk):
    with pytest.raises(StalkerError) as caught:
        table_of(disk)
    assert "base.img" in caught.value.brief
    assert caught.value.resolution
    return f"{caught.value.brief}; {caught.value.details}"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("mbr", "partition 1 does not lie in the disk"), ("gpt", "the GPT at the end of the disk")],
)
def test_a_disk_that_was_cut_is_refused(kind, said):
    disk = disk_of(kind, entries_of(kind, [60_000], [0]), 100_000)

    assert said in refused(disk.copy(50_000 * 512))


@pytest.mark.parametrize("kind", ["mbr", "gpt"])
def test_partitions_upon_each_other_are_refused(kind):
    one, two = entries_of(kind, [4096, 4096], [0, 0])
    disk = disk_of(kind, [one, Entry(2, 4096, 4096, two.type, two.uuid)], 100_000)

    assert "partitions 1 and 2 lie upon each other" in refused(disk)


def test_a_disk_of_large_sectors_is_refused():
    disk = Bytes(100_000 * 512)
    disk.write(0, mbr_bytes("00000000", [Entry(1, 1, 12_499, "ee")]))
    disk.write(4096, b"EFI PART")

    assert "sectors of 4096 bytes" in refused(disk)


@pytest.mark.parametrize("where", [512 + 16, 1024 + 8])
def test_a_damaged_first_gpt_is_refused(where):
    """The one at the end would do for reading, not for being built upon."""
    disk = disk_of("gpt", entries_of("gpt", [4096], [0]), 100_000)
    disk.write(where, bytes([disk.read(where, 1)[0] ^ 1]))

    assert "beginning" in refused(disk)


def test_no_table_and_no_partitions_are_refused():
    empty = Bytes(1 << 20)
    table = Bytes(1 << 20)
    table.write(0, mbr_bytes("1a2b3c4d", []))

    assert "there is no partition table" in refused(empty)
    assert "no partitions" in refused(table)


def test_a_fifth_primary_partition_is_refused():
    disk = disk_of("mbr", entries_of("mbr", [100] * 4, [0] * 4), 100_000)

    with pytest.raises(StalkerError, match="all 4 entries of its table are taken"):
        free_slot(table_of(disk), disk.read, "base.img")


@pytest.mark.parametrize("kind", ["05", "0f"])
def test_an_extended_partition_is_refused(kind):
    disk = disk_of("mbr", [*entries_of("mbr", [100], [0]), Entry(2, 4096, 8192, kind)], 100_000)
    disk.write(4096 * 512, mbr_bytes("00000000", [Entry(1, 2048, 100, "83")]))

    with pytest.raises(StalkerError, match="extended partition"):
        free_slot(table_of(disk), disk.read, "base.img")


@pytest.mark.parametrize(
    ("numbers", "slot"), [((1, 2), 3), ((1,), 2), ((2, 3), 4), ((1, 2, 4), 3), ((2, 3, 4), 1)]
)
def test_the_next_number_is_taken_and_a_gap_if_there_is_none(numbers, slot):
    entries = [Entry(number, 2048 + 200 * number, 100, "83") for number in numbers]
    disk = disk_of("mbr", entries, 100_000)

    assert free_slot(table_of(disk), disk.read, "base.img") == slot


def test_an_mbr_says_that_it_ends_at_two_tebibytes():
    disk = disk_of("mbr", entries_of("mbr", [4096], [0]), 100_000)

    with pytest.raises(StalkerError, match="2 TiB"):
        changed(disk, 3 << 40, Entry(2, 8192, 1 << 32, "83"), is_new=True)


def test_a_hybrid_is_known():
    plain = disk_of("gpt", entries_of("gpt", [4096], [0]), 100_000)
    hybrid = plain.copy(plain.size_bytes)
    hybrid.write(0, mbr_bytes("00000000", [Entry(1, 1, 99_999, "ee"), Entry(2, 2048, 4096, "0c")]))

    assert not is_hybrid(plain.read)
    assert is_hybrid(hybrid.read)


@pytest.mark.skipif(not SFDISK, reason="sfdisk is not installed: apt-get install fdisk")
@pytest.mark.parametrize("label", ["dos", "gpt"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more=st.integers(1, 300_000))
def test_sfdisk_finds_nothing_wrong(tmp_path, label, more):
    """Of a table that it made, and we changed."""
    path = tmp_path / "disk"
    path.unlink(missing_ok=True)
    with path.open("xb") as stream:
        stream.truncate(100_000 * 512)
    script = f"label: {label}\nsize=20000\nsize=30000\n"
    subprocess.run([SFDISK, "-q", str(path)], input=script, text=True, check=True)
    with path.open("r+b") as stream:

        def read(at, count):
            return os.pread(stream.fileno(), count, at)

        table = sound_table(read, 100_000 * 512, "base.img")
        kind, own = (LINUX_DATA, NEW_GUID) if label == "gpt" else ("83", "")
        size = (100_000 + more) * 512
        stream.truncate(size)
        entry = Entry(3, 60_000, 90_000 + more - 60_000, kind, own, "data")
        for start, data in patches(read, table, size, entry, is_new=True):
            os.pwrite(stream.fileno(), data, start)

    done = subprocess.run([SFDISK, "--verify", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "No errors detected" in done.stdout
    assert done.stderr == ""
