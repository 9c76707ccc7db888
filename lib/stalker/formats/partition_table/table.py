"""Partition tables, written and read: MBR and GPT.

Sources: UEFI Specification 2.10, chapter 5 (GPT Disk Layout, with the protective MBR); for the MBR the
layout that all systems share: 446 bytes of boot code, four entries of 16 bytes, 55 AA.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.partition_types import EXTENDED, PROTECTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Read = Callable[[int, int], bytes]
    """Bytes of a disk: where, and how many."""

ENTRIES = 128
ENTRY_BYTES = 128
ARRAY_SECTORS = ENTRIES * ENTRY_BYTES // SECTOR_BYTES
GPT_SIGNATURE = b"EFI PART"
GPT_REVISION = 0x00010000
GPT_HEADER_BYTES = 92
LEGACY_BOOT = 1 << 2
"""The attribute of a GPT that marks the partition a BIOS boots from."""

LOGICAL_MAX = 128

GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
_MBR_ENTRY = struct.Struct("<B3sB3sII")


@dataclass(frozen=True, slots=True)
class Entry:
    """A partition as a table has it. `type` is two hexadecimal digits or a GUID, `uuid` its PARTUUID."""

    number: int
    start_sector: int
    sectors: int
    type: str
    uuid: str = ""
    name: str = ""
    is_bootable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read; `problems` are what is wrong with it."""

    kind: Literal["mbr", "gpt", ""]
    disk_id: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()


# writing


def mbr_bytes(disk_id: str, entries: Sequence[Entry]) -> bytes:
    """Return the first sector of a disk; `disk_id` are eight hexadecimal digits. At most four entries."""
    sector = bytearray(SECTOR_BYTES)
    sector[440:444] = int(disk_id, 16).to_bytes(4, "little")
    for entry in entries:
        where = 446 + 16 * (entry.number - 1)
        sector[where : where + 16] = mbr_entry_bytes(entry)
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)


def mbr_entry_bytes(entry: Entry) -> bytes:
    """Return the 16 bytes of a partition in an MBR."""
    return _MBR_ENTRY.pack(
        0x80 if entry.is_bootable else 0,
        _chs(entry.start_sector),
        int(entry.type, 16),
        _chs(entry.start_sector + entry.sectors - 1),
        entry.start_sector,
        entry.sectors,
    )


def gpt_bytes(disk_id: str, entries: Sequence[Entry], sectors: int) -> tuple[bytes, bytes]:
    """Return what is at the beginning and at the end of a disk of so many sectors.

    That is the protective MBR, a header and the entries; and the entries and a header again.
    """
    array = bytearray(ENTRIES * ENTRY_BYTES)
    for entry in entries:
        where = ENTRY_BYTES * (entry.number - 1)
        array[where : where + ENTRY_BYTES] = gpt_entry_bytes(entry)
    last = sectors - 1
    head = _gpt_header(disk_id, array, own=1, other=last, array_sector=2, sectors=sectors)
    tail = _gpt_header(disk_id, array, own=last, other=1, array_sector=last - ARRAY_SECTORS, sectors=sectors)
    protective = Entry(1, 1, min(sectors - 1, 0xFFFFFFFF), PROTECTIVE)
    return mbr_bytes("00000000", [protective]) + head + bytes(array), bytes(array) + tail


def gpt_entry_bytes(entry: Entry) -> bytes:
    """Return the 128 bytes of a partition in a GPT."""
    return _GPT_ENTRY.pack(
        uuid.UUID(entry.type).bytes_le,
        uuid.UUID(entry.uuid).bytes_le,
        entry.start_sector,
        entry.start_sector + entry.sectors - 1,
        LEGACY_BOOT if entry.is_bootable else 0,
        entry.name.encode("utf-16-le")[:72],
    )


def _gpt_header(
    disk_id: str, array: bytes | bytearray, *, own: int, other: int, array_sector: int, sectors: int
) -> bytes:
    def packed(crc: int) -> bytes:
        return GPT_HEADER.pack(
            GPT_SIGNATURE,
            GPT_REVISION,
            GPT_HEADER_BYTES,
            crc,
            0,
            own,
            other,
            2 + ARRAY_SECTORS,
            sectors - 2 - ARRAY_SECTORS,
            uuid.UUID(disk_id).bytes_le,
            array_sector,
            ENTRIES,
            ENTRY_BYTES,
            zlib.crc32(array),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR_BYTES, b"\0")


def _chs(sector: int) -> bytes:
    """Return cylinder, head and sector of the usual 255 heads and 63 sectors; its last ones past 8 GB."""
    cylinder, rest = divmod(sector, 255 * 63)
    head, number = divmod(rest, 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    return bytes((head, (number + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF))


# reading


def read_table(read: Read, size_bytes: int) -> Table:
    """Read the table of a disk of that size; its kind is empty where there is none."""
    first = read(0, SECTOR_BYTES)
    if len(first) < SECTOR_BYTES or first[510:512] != b"\x55\xaa":
        return Table("", "", (), ("there is no partition table",))
    primary = _mbr_entries(first)
    if any(entry.type == PROTECTIVE for entry in primary):
        return _read_gpt(read, size_bytes)
    disk_id = f"{int.from_bytes(first[440:444], 'little'):08x}"
    entries = [entry for entry in primary if entry.sectors]
    problems: list[str] = []
    for entry in primary:
        if entry.type in EXTENDED:
            entries += _logical(read, entry, problems)
    named = tuple(
        Entry(
            one.number,
            one.start_sector,
            one.sectors,
            one.type,
            f"{disk_id}-{one.number:02x}",
            is_bootable=one.is_bootable,
        )
        for one in entries
    )
    problems += _overlaps([one for one in named if one.type not in EXTENDED], 1, size_bytes // SECTOR_BYTES)
    return Table("mbr", disk_id, named, tuple(problems))


def _mbr_entries(sector: bytes) -> list[Entry]:
    found = []
    for index in range(4):
        flag, _, kind, _, start, sectors = _MBR_ENTRY.unpack_from(sector, 446 + 16 * index)
        if kind:
            found.append(Entry(index + 1, start, sectors, f"{kind:02x}", is_bootable=bool(flag & 0x80)))
    return found


def _logical(read: Read, extended: Entry, problems: list[str]) -> list[Entry]:
    """Follow the chain of tables in an extended partition: each has one partition, and where the next is."""
    found: list[Entry] = []
    at = extended.start_sector
    while len(found) < LOGICAL_MAX:
        sector = read(at * SECTOR_BYTES, SECTOR_BYTES)
        if len(sector) < SECTOR_BYTES or sector[510:512] != b"\x55\xaa":
            problems.append(f"the extended partition breaks off at sector {at}")
            return found
        entries = {entry.number: entry for entry in _mbr_entries(sector)}
        own, link = entries.get(1), entries.get(2)
        if own is not None and own.sectors:
            found.append(
                Entry(
                    5 + len(found), at + own.start_sector, own.sectors, own.type, is_bootable=own.is_bootable
                )
            )
        if link is None or link.type not in EXTENDED:
            return found
        at = extended.start_sector + link.start_sector
    problems.append("the extended partition has no end")
    return found


def _read_gpt(read: Read, size_bytes: int) -> Table:
    last = size_bytes // SECTOR_BYTES - 1
    head, head_problem = _gpt_at(read, 1)
    tail, tail_problem = _gpt_at(read, last)
    problems = [
        f"the GPT at the {where} of the disk: {problem}"
        for where, problem in (("beginning", head_problem), ("end", tail_problem))
        if problem
    ]
    found = head or tail
    if found is None:
        return Table("gpt", "", (), tuple(problems))
    if head and tail and (head.disk_id, head.entries) != (tail.disk_id, tail.entries):
        problems.append("the GPT at the end of the disk says something else than that at its beginning")
    problems += _overlaps(found.entries, 2 + ARRAY_SECTORS, last - ARRAY_SECTORS)
    return Table("gpt", found.disk_id, found.entries, tuple(problems))


def _gpt_at(read: Read, sector: int) -> tuple[Table | None, str]:
    """Read a header and the entries it names; return them, or what is wrong."""
    raw = read(sector * SECTOR_BYTES, SECTOR_BYTES)
    if len(raw) < SECTOR_BYTES or raw[:8] != GPT_SIGNATURE:
        return None, "it is not there"
    _, _, size, crc, _, own, _, _, _, disk_id, array_sector, count, entry_bytes, array_crc = (
        GPT_HEADER.unpack_from(raw)
    )
    if not GPT_HEADER_BYTES <= size <= SECTOR_BYTES or own != sector:
        return None, "its header is damaged"
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        return None, "the checksum of its header is wrong"
    if entry_bytes < ENTRY_BYTES or entry_bytes % 8 or not count * entry_bytes <= 1 << 20:
        return None, "its header is damaged"
    array = read(array_sector * SECTOR_BYTES, count * entry_bytes)
    if zlib.crc32(array) != array_crc:
        return None, "the checksum of its entries is wrong"
    entries = []
    for index in range(count):
        kind, own_id, start, end, attributes, name = _GPT_ENTRY.unpack_from(array, index * entry_bytes)
        if any(kind):
            entries.append(
                Entry(
                    index + 1,
                    start,
                    end - start + 1,
                    str(uuid.UUID(bytes_le=kind)),
                    str(uuid.UUID(bytes_le=own_id)),
                    name.decode("utf-16-le", "replace").partition("\0")[0],
                    is_bootable=bool(attributes & LEGACY_BOOT),
                )
            )
    return Table("gpt", str(uuid.UUID(bytes_le=disk_id)), tuple(entries)), ""


def _overlaps(entries: Sequence[Entry], first: int, end: int) -> list[str]:
    """Return which partitions lie upon each other or outside the disk: from sector `first` up to `end`."""
    problems = []
    before: Entry | None = None
    for entry in sorted(entries, key=lambda one: one.start_sector):
        if entry.start_sector < first or entry.start_sector + entry.sectors > end or entry.sectors <= 0:
            problems.append(f"partition {entry.number} does not lie in the disk")
        if before is not None and entry.start_sector < before.start_sector + before.sectors:
            problems.append(f"partitions {before.number} and {entry.number} lie upon each other")
        before = entry
    return problems
