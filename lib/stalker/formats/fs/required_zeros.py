"""The zeros of an image that its file systems rely on, so that they have to be written to a card.

A file system made in a file has holes in place of zeros that never had to be written. A card has old data in
their place: inodes of an earlier image, and a journal whose transactions could be replayed, because two builds of
one image have the same UUID. So these have to be zeros, and the tables of a FAT.

Apart from `flash.writer`, its one importer, because it is about the formats of file systems alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.formats.fs.ext4 import SUPER_START, metadata_ranges, parse_super
from stalker.formats.fs.fat.boot_sector import HEAD_BYTES, BadBootSector, parse_boot_sector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.formats.partition_table.table import Read


def required_zeros(read: Read, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the tables of the file system that begins at `start`.

    Those are the inode tables and the journal of an ext4, and all of a FAT before its data. Nothing for another
    one, and for one with a layout that is not known here.
    """
    head = read(start, 2 * SUPER_START)
    ext = parse_super(head[SUPER_START:])
    if ext is not None:
        yield from metadata_ranges(ext, read, start, size_bytes)
        return
    try:
        fat = parse_boot_sector(head[:HEAD_BYTES], start)
    except BadBootSector:
        return
    if fat.data_start - start <= size_bytes:
        yield start, fat.data_start
