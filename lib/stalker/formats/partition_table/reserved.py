"""The sectors of a disk that its partition table stands in, and those that lie in partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.partition_types import EXTENDED
from stalker.formats.partition_table.table import GPT_HEADER, GPT_SIGNATURE, read_table

if TYPE_CHECKING:
    from stalker.formats.partition_table.table import Read


class Reserved(NamedTuple):
    """Bytes of a disk that are in use, from `start` up to `end`, and by what.

    `number` is that of a partition, 0 for the table itself and for an extended partition, which is a part of it.
    """

    start: int
    end: int
    what: str
    number: int = 0


def reserved_ranges(read: Read, size_bytes: int) -> list[Reserved]:
    """Return what of a disk is in use.

    The entries of a GPT count as many sectors as its header says: a disk whose boot loader stands behind the
    first of them has a shorter list.
    """
    table = read_table(read, size_bytes)
    found = [Reserved(0, SECTOR_BYTES, "the MBR")]
    if table.kind == "gpt":
        last = size_bytes // SECTOR_BYTES - 1
        found += _gpt(read, 1, "the GPT at the beginning")
        other = int.from_bytes(read(SECTOR_BYTES + 32, 8), "little")
        # The second copy is before the end where the disk ended once.
        for sector in {last, other} if 1 < other < last else {last}:
            found += _gpt(read, sector, "the GPT at the end")
    for one in table.entries:
        start, end = (n * SECTOR_BYTES for n in (one.start_sector, one.start_sector + one.sectors))
        if one.type in EXTENDED:
            found.append(Reserved(start, end, f"the extended partition {one.number}"))
        else:
            found.append(Reserved(start, end, f"partition {one.number}", one.number))
    return found


def _gpt(read: Read, sector: int, what: str) -> list[Reserved]:
    """Return the sectors of a header and of the entries that it names; of one that is not there its place alone."""
    header = read(sector * SECTOR_BYTES, SECTOR_BYTES)
    found = [Reserved(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES, what)]
    if len(header) == SECTOR_BYTES and header.startswith(GPT_SIGNATURE):
        fields = GPT_HEADER.unpack_from(header)
        first, sectors = fields[10], -(-fields[11] * fields[12] // SECTOR_BYTES)
        found.append(Reserved(first * SECTOR_BYTES, (first + sectors) * SECTOR_BYTES, what))
    return found
