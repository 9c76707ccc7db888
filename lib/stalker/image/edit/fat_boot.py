"""The boot sector of a FAT: where its tables, its root folder and its clusters lie in an image.

Sources: Microsoft, FAT32 File System Specification 1.03, and Linux, `fs/fat/inode.c`, where the two part: a
FAT32 is what has no 16-bit length of its tables, so a small one is a FAT32 as well.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple, NoReturn

from stalker.errors import StalkerError

SECTOR_SIZES = (512, 1024, 2048, 4096)
FAT12_CLUSTERS = 4084
FAT16_CLUSTERS = 65524
FAT32_CLUSTERS = 0x0FFFFFF5
ENTRY_BYTES = 32

_SECTOR = struct.Struct("<HBHBHHBH8xI")
"""From byte 11: sector and cluster size, reserved, tables, root entries, sectors, media, sectors of a table."""
_SECTOR32 = struct.Struct("<IHHIHH")
"""From byte 36: sectors of a table, flags, version, root cluster, FSInfo, backup."""
_NOT_MIRRORED = 0x80
_DIRTY = 1
_EXTENDED = (0x28, 0x29)
"""Marks that byte 37 is a state and no code of the boot loader; in a FAT32 it always is."""


class Geometry(NamedTuple):
    """Where things lie, in bytes of the image. Clusters are numbered from 2 to `last`."""

    bits: int
    sector_bytes: int
    cluster_bytes: int
    last: int
    tables: tuple[int, ...]
    """Where each copy of the table starts."""
    root_start: int
    root_bytes: int
    """0 for a FAT32, whose root folder is a chain of clusters from `root_cluster` on."""
    root_cluster: int
    info_start: int
    """Where the FSInfo lies; 0 when there is none."""
    data_start: int
    is_dirty: bool

    def offset(self, cluster: int) -> int:
        """Return where a cluster starts."""
        return self.data_start + (cluster - 2) * self.cluster_bytes

    def cluster(self, offset: int) -> int:
        """Return the cluster that a byte lies in."""
        return (offset - self.data_start) // self.cluster_bytes + 2

    @property
    def table_bytes(self) -> int:
        """How much of a table stands for clusters; what is behind it means nothing."""
        return ((self.last + 1) * self.bits + 7) // 8


def read_geometry(descriptor: int, start: int, size_bytes: int) -> Geometry:
    """Read the boot sector of the FAT that lies at `start`. Raises StalkerError when it is none that can be used."""
    head = os.pread(descriptor, 512, start)
    if len(head) < 512 or head[510:] != b"\x55\xaa":
        _refuse(start, "the boot sector does not end in 55 AA")
    sector, per_cluster, reserved, copies, root_entries, few, media, length, many = _SECTOR.unpack_from(
        head, 11
    )
    length32, flags, version, root_cluster, info, _ = _SECTOR32.unpack_from(head, 36)
    is_32 = not length
    sectors = few or many
    length = length or length32
    if sector not in SECTOR_SIZES:
        _refuse(start, f"a sector of {sector} bytes")
    if not per_cluster or per_cluster & (per_cluster - 1):
        _refuse(start, f"{per_cluster} sectors in a cluster")
    if not reserved or not copies or not length or not sectors or media < 0xF0:
        _refuse(start, "no reserved sector, no table, no size, or no kind of medium")
    if is_32 and (version or root_entries):
        _refuse(start, "a version of FAT32 that nobody knows, or a root folder of fixed size")
    if not is_32 and not root_entries:
        _refuse(start, "no room for a root folder")
    if is_32 and flags & _NOT_MIRRORED:
        _refuse(start, "its tables are not kept equal (flags of FAT32), which few systems understand")
    if sectors * sector > size_bytes:
        _refuse(start, f"it is larger ({sectors * sector} bytes) than what it lies in ({size_bytes} bytes)")

    root_sectors = -(-root_entries * ENTRY_BYTES // sector)
    before = reserved + copies * length + root_sectors
    clusters = (sectors - before) // per_cluster
    if clusters < 1:
        _refuse(start, "no room for data")
    bits = 32 if is_32 else 12 if clusters <= FAT12_CLUSTERS else 16
    if clusters > {12: FAT12_CLUSTERS, 16: FAT16_CLUSTERS, 32: FAT32_CLUSTERS}[bits]:
        _refuse(start, f"{clusters} clusters, more than FAT{bits} can count")
    last = min(clusters + 1, length * sector * 8 // bits - 1)
    if is_32 and not 2 <= root_cluster <= last:
        _refuse(start, f"its root folder would start at cluster {root_cluster}")
    return Geometry(
        bits=bits,
        sector_bytes=sector,
        cluster_bytes=sector * per_cluster,
        last=last,
        tables=tuple(start + (reserved + number * length) * sector for number in range(copies)),
        root_start=start + (reserved + copies * length) * sector,
        root_bytes=root_entries * ENTRY_BYTES,
        root_cluster=root_cluster if is_32 else 0,
        info_start=start + info * sector if is_32 and 0 < info < reserved else 0,
        data_start=start + before * sector,
        is_dirty=bool(head[65] & _DIRTY) if is_32 else head[38] in _EXTENDED and bool(head[37] & _DIRTY),
    )


def _refuse(start: int, why: str) -> NoReturn:
    raise StalkerError(
        f"there is no FAT file system at byte {start} of the image that could be changed",
        why,
        "make it with mkfs.vfat, or take another partition",
    )
