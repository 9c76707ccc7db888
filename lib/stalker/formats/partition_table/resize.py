"""A partition table changed where it stands: no byte of it is written that need not change.

What is in a table and not in an `Entry` stays so: boot code, attributes, how many entries there are.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError
from stalker.formats.partition_table.extent import MBR_MAX_BYTES, SECTOR_BYTES
from stalker.formats.partition_table.partition_types import EXTENDED, PROTECTIVE
from stalker.formats.partition_table.table import (
    ARRAY_SECTORS,
    GPT_HEADER,
    GPT_HEADER_BYTES,
    GPT_SIGNATURE,
    Table,
    gpt_entry_bytes,
    mbr_entry_bytes,
    read_table,
)
from stalker.io.units import size_text

if TYPE_CHECKING:
    from stalker.formats.partition_table.table import Entry, Read

MBR_ENTRIES_AT = 446
MBR_SLOTS = 4
FAR_SECTORS = 0xFFFFFFFF
"""What a protective MBR says of a disk with more."""


class Patch(NamedTuple):
    """Bytes to be written at a place of the disk."""

    start: int
    data: bytes


def sound_table(read: Read, size_bytes: int, name: str) -> Table:
    """Return the table of a disk that may be changed; `name` is for messages.

    A GPT whose second copy is before the end, where the disk ended once, is sound too.

    Raises:
        StalkerError: it is damaged or cut, partitions lie upon each other, or it is not for sectors of 512 bytes.
    """
    found = read_table(read, size_bytes)
    if found.kind == "gpt" and found.problems:
        if read(8 * SECTOR_BYTES, 8) == GPT_SIGNATURE and read(SECTOR_BYTES, 8) != GPT_SIGNATURE:
            raise StalkerError(
                f"{name} is made for disks with sectors of 4096 bytes",
                "its partition table counts in those; cards have sectors of 512 bytes",
                "take the image for cards or USB sticks",
            )
        other = int.from_bytes(read(SECTOR_BYTES + 32, 8), "little")
        if other < size_bytes // SECTOR_BYTES - 1:
            found = read_table(read, (other + 1) * SECTOR_BYTES)
    if found.problems or not found.kind:
        raise StalkerError(
            f"{name} cannot be built upon: its partition table is damaged",
            "; ".join(found.problems) or "there is none",
            "it may have been cut: fetch it again, or repair it with sfdisk or gdisk",
        )
    if not found.entries:
        raise StalkerError(f"{name} has no partitions", "", "take an image of a whole disk")
    return found


def free_slot(table: Table, read: Read, name: str) -> int:
    """Return the number that another partition of a table gets: behind the others where it can.

    Raises:
        StalkerError: there is none, or it would have to be a logical partition.
    """
    if table.kind == "mbr" and any(one.type in EXTENDED or one.number > MBR_SLOTS for one in table.entries):
        raise StalkerError(
            f"{name} has an extended partition, and no data partition can be added behind one",
            f"its partitions are {_numbers(table)}",
            "take a base with at most three primary partitions, or one with a GPT",
        )
    slots = MBR_SLOTS if table.kind == "mbr" else int(_gpt_fields(read)[11])
    last = max(entry.number for entry in table.entries)
    taken = {entry.number for entry in table.entries}
    free: list[int] = [
        number for number in (*range(last + 1, slots + 1), *range(1, last)) if number not in taken
    ]
    if not free:
        raise StalkerError(
            f"{name} has no room for a data partition: all {slots} entries of its table are taken",
            f"its partitions are {_numbers(table)}",
            "take a base with fewer partitions, or one with a GPT",
        )
    return free[0]


def tail_bytes(table: Table, read: Read) -> int:
    """Return how much of the end of the disk the table needs for itself."""
    return 0 if table.kind == "mbr" else (_array_sectors(read) + 1) * SECTOR_BYTES


def patches(
    read: Read, table: Table, size_bytes: int, entry: Entry | None = None, *, is_new: bool = False
) -> list[Patch]:
    """Return what is to be written for a disk that is now of this size, with one larger or new partition.

    Of one that is not new the end alone counts. Nothing where nothing changes.

    Raises:
        StalkerError: an MBR cannot tell of a partition so far out.
    """
    if table.kind == "mbr":
        return [] if entry is None else [_mbr_patch(read, entry, is_new=is_new)]
    return _gpt_patches(read, size_bytes, entry, is_new=is_new)


def _mbr_patch(read: Read, entry: Entry, *, is_new: bool) -> Patch:
    if entry.start_sector + entry.sectors > MBR_MAX_BYTES // SECTOR_BYTES:
        raise StalkerError(
            "the base has an MBR, whose partitions end at 2 TiB at most",
            f"partition {entry.number} would end at {size_text((entry.start_sector + entry.sectors) * SECTOR_BYTES)}",
            "ask for a smaller image, or take a base with a GPT",
        )
    at = MBR_ENTRIES_AT + 16 * (entry.number - 1)
    raw = mbr_entry_bytes(entry)
    if is_new:
        return Patch(at, raw)
    was = read(at, 16)
    return Patch(at + 5, raw[5:8] + was[8:12] + raw[12:16])


def _gpt_patches(read: Read, size_bytes: int, entry: Entry | None, *, is_new: bool) -> list[Patch]:
    header = bytearray(read(SECTOR_BYTES, SECTOR_BYTES))
    fields = list(GPT_HEADER.unpack_from(header))
    old_last = fields[6]
    array_sector, count, entry_bytes = fields[10], fields[11], fields[12]
    array = bytearray(read(array_sector * SECTOR_BYTES, count * entry_bytes))
    last = size_bytes // SECTOR_BYTES - 1
    found: list[Patch] = []
    if entry is not None:
        at = (entry.number - 1) * entry_bytes
        if is_new:
            change = Patch(at, gpt_entry_bytes(entry).ljust(entry_bytes, b"\0"))
        else:
            change = Patch(at + 40, (entry.start_sector + entry.sectors - 1).to_bytes(8, "little"))
        array[change.start : change.start + len(change.data)] = change.data
        found.append(Patch(array_sector * SECTOR_BYTES + change.start, change.data))
    if entry is None and old_last == last:
        return []
    reserved = _array_sectors(read)
    fields[8] = last - reserved - 1
    fields[13] = zlib.crc32(array)
    header_bytes = fields[2]
    here = _header(header, fields, own=1, other=last, array_sector=array_sector, size=header_bytes)
    there = _header(header, fields, own=last, other=1, array_sector=last - reserved, size=header_bytes)
    found += [
        Patch(SECTOR_BYTES, here),
        Patch((last - reserved) * SECTOR_BYTES, bytes(array).ljust(reserved * SECTOR_BYTES, b"\0")),
        Patch(last * SECTOR_BYTES, there),
    ]
    return [*_protective(read, old_last, last), *found]


def _header(
    raw: bytes | bytearray, fields: list[int], *, own: int, other: int, array_sector: int, size: int
) -> bytes:
    """Return a header with its checksum, a sector; what is behind the fields that are known stays."""
    head = GPT_HEADER.pack(*fields[:3], 0, fields[4], own, other, *fields[7:10], array_sector, *fields[11:])
    whole = head + bytes(raw[GPT_HEADER_BYTES:])
    crc = zlib.crc32(whole[:size])
    return whole[:16] + crc.to_bytes(4, "little") + whole[20:]


def _protective(read: Read, old_last: int, last: int) -> list[Patch]:
    """Return what lets the protective MBR cover a disk of another size, if it covered this one."""
    if old_last == last:
        return []
    sector = read(0, SECTOR_BYTES)
    for slot in range(MBR_SLOTS):
        at = MBR_ENTRIES_AT + 16 * slot
        start, sectors = (int.from_bytes(sector[at + place : at + place + 4], "little") for place in (8, 12))
        if sector[at + 4] == int(PROTECTIVE, 16) and start == 1 and sectors == min(old_last, FAR_SECTORS):
            return [Patch(at + 12, min(last, FAR_SECTORS).to_bytes(4, "little"))]
    return []


def is_hybrid(read: Read) -> bool:
    """Return whether the protective MBR of a GPT tells of partitions too: they would differ from the GPT."""
    sector = read(0, SECTOR_BYTES)
    kinds = [sector[MBR_ENTRIES_AT + 16 * slot + 4] for slot in range(MBR_SLOTS)]
    return any(kind not in {0, int(PROTECTIVE, 16)} for kind in kinds)


def _gpt_fields(read: Read) -> list[int]:
    return list(GPT_HEADER.unpack_from(read(SECTOR_BYTES, SECTOR_BYTES)))


def _array_sectors(read: Read) -> int:
    """Return what is kept for the entries, at least 16 KiB (UEFI 2.10, 5.3.2)."""
    fields = _gpt_fields(read)
    return max(ARRAY_SECTORS, -(-fields[11] * fields[12] // SECTOR_BYTES))


def _numbers(table: Table) -> str:
    return ", ".join(str(entry.number) for entry in table.entries)
