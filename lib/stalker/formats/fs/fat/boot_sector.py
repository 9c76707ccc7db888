"""The boot sector of a FAT: where its tables, its root directory and its clusters lie in an image.

The one place that reads it. What Linux refuses to mount is not a FAT here either.

Sources: Microsoft, FAT32 File System Specification 1.03, and Linux, `fs/fat/inode.c`, where they differ: a FAT32
is what has no 16-bit length of its tables, so a small one is a FAT32 as well.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from stalker.errors import StalkerError

SECTOR_SIZES = (512, 1024, 2048, 4096)
FAT12_CLUSTERS = 4084
FAT16_CLUSTERS = 65524
FAT32_CLUSTERS = 0x0FFFFFF5
ENTRY_BYTES = 32
HEAD_BYTES = 512

_SECTOR = struct.Struct("<HBHBHHBH8xI")
"""From byte 11: sector and cluster size, reserved, tables, root entries, sectors, media, sectors of a table."""
_SECTOR32 = struct.Struct("<IHHIHH")
"""From byte 36: sectors of a table, flags, version, root cluster, FSInfo, backup."""
_NOT_MIRRORED = 0x80
_DIRTY = 1
_WITH_SERIAL, _WITH_LABEL = 0x28, 0x29
"""Marks that the bytes around it are state and serial number, and a label, rather than code of the boot loader."""


class BadBootSector(ValueError):
    """The bytes are not the boot sector of a FAT; the text says why."""


class Geometry(NamedTuple):
    """Where things lie, in bytes of the image. Clusters are numbered from 2 to `last`."""

    bits: int
    size_bytes: int
    sector_bytes: int
    cluster_bytes: int
    last: int
    tables: tuple[int, ...]
    """Where each copy of the table starts."""
    root_start: int
    root_bytes: int
    """0 for a FAT32, whose root directory is a chain of clusters from `root_cluster` on."""
    root_cluster: int
    info_start: int
    """Where the FSInfo lies; 0 when there is none."""
    data_start: int
    is_dirty: bool
    is_mirrored: bool
    """Return whether all tables are kept equal."""
    serial: int
    label: str

    def offset(self, cluster: int) -> int:
        """Return where a cluster starts."""
        return self.data_start + (cluster - 2) * self.cluster_bytes

    def cluster(self, offset: int) -> int:
        """Return the cluster that a byte lies in."""
        return (offset - self.data_start) // self.cluster_bytes + 2

    @property
    def table_bytes(self) -> int:
        """How much of a table is for clusters; what comes after it means nothing."""
        return ((self.last + 1) * self.bits + 7) // 8


def read_geometry(descriptor: int, start: int, size_bytes: int) -> Geometry:
    """Read the boot sector of the FAT at `start`. Raises StalkerError when there is none that can be changed."""
    try:
        found = parse_boot_sector(os.pread(descriptor, HEAD_BYTES, start), start)
        if not found.is_mirrored:
            raise BadBootSector(
                "its tables are not kept equal (flags of FAT32), which few systems understand"
            )
        if found.size_bytes > size_bytes:
            raise BadBootSector(
                f"it is larger ({found.size_bytes} bytes) than what it lies in ({size_bytes} bytes)"
            )
    except BadBootSector as error:
        raise StalkerError(
            f"there is no FAT file system at byte {start} of the image that could be changed",
            str(error),
            "make it with mkfs.vfat, or take another partition",
        ) from error
    return found


def parse_boot_sector(head: bytes, start: int = 0) -> Geometry:
    """Return the geometry that the first 512 bytes of a FAT describe, which lies at `start`.

    Raises:
        BadBootSector: they are not a FAT's.
    """
    if len(head) < HEAD_BYTES or head[510:512] != b"\x55\xaa":
        raise BadBootSector("the boot sector does not end in 55 AA")
    sector, per_cluster, reserved, copies, root_entries, few, media, length, many = _SECTOR.unpack_from(
        head, 11
    )
    length32, flags, version, root_cluster, info, _ = _SECTOR32.unpack_from(head, 36)
    is_32 = not length
    sectors = few or many
    length = length or length32
    if sector not in SECTOR_SIZES:
        raise BadBootSector(f"a sector of {sector} bytes")
    if not per_cluster or per_cluster & (per_cluster - 1):
        raise BadBootSector(f"{per_cluster} sectors in a cluster")
    if not reserved or not copies or not length or not sectors or media < 0xF0:
        raise BadBootSector("no reserved sector, no table, no size, or no kind of medium")
    if is_32 and (version or root_entries):
        raise BadBootSector("an unknown version of FAT32, or a root directory of fixed size")
    if not is_32 and not root_entries:
        raise BadBootSector("no space for a root directory")

    root_sectors = -(-root_entries * ENTRY_BYTES // sector)
    before = reserved + copies * length + root_sectors
    clusters = (sectors - before) // per_cluster
    if clusters < 1:
        raise BadBootSector("no space for data")
    bits = 32 if is_32 else 12 if clusters <= FAT12_CLUSTERS else 16
    if clusters > {12: FAT12_CLUSTERS, 16: FAT16_CLUSTERS, 32: FAT32_CLUSTERS}[bits]:
        raise BadBootSector(f"{clusters} clusters, more than FAT{bits} can count")
    last = min(clusters + 1, length * sector * 8 // bits - 1)
    if is_32 and not 2 <= root_cluster <= last:
        raise BadBootSector(f"its root directory would start at cluster {root_cluster}")
    at = 64 if is_32 else 36
    mark = head[at + 2]
    label = head[at + 7 : at + 18].decode("cp437").rstrip() if mark == _WITH_LABEL else ""
    return Geometry(
        bits=bits,
        size_bytes=sectors * sector,
        sector_bytes=sector,
        cluster_bytes=sector * per_cluster,
        last=last,
        tables=tuple(start + (reserved + number * length) * sector for number in range(copies)),
        root_start=start + (reserved + copies * length) * sector,
        root_bytes=root_entries * ENTRY_BYTES,
        root_cluster=root_cluster if is_32 else 0,
        info_start=start + info * sector if is_32 and 0 < info < reserved else 0,
        data_start=start + before * sector,
        # in a FAT32 the state is always there
        is_dirty=(is_32 or mark in {_WITH_SERIAL, _WITH_LABEL}) and bool(head[at + 1] & _DIRTY),
        is_mirrored=not (is_32 and flags & _NOT_MIRRORED),
        serial=int.from_bytes(head[at + 3 : at + 7], "little") if mark in {_WITH_SERIAL, _WITH_LABEL} else 0,
        label="" if label == "NO NAME" else label,
    )
