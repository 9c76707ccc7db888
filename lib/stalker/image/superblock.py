"""What a file system says of itself in its first bytes: ext4, FAT, squashfs, swap. Nothing is mounted.

Sources: Linux, Documentation/filesystems/ext4/super.rst; Microsoft, FAT32 File System Specification 1.03;
Linux, fs/squashfs/squashfs_fs.h and include/linux/swap.h for the fields by name.
"""

from __future__ import annotations

import struct
import uuid
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.image.table import Read

EXT_MAGIC = 0xEF53
EXT_64BIT = 0x80
SQUASHFS_MAGIC = b"hsqs"
SWAP_MAGIC = b"SWAPSPACE2"
NO_CLUSTERS = 0xFFFFFFFF
FAT_SCAN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileSystemFacts:
    """A file system as it tells: `used_bytes` counts what it keeps for itself too, None where that is unknown.

    `inodes` are those in use, of ext4 and squashfs. `kind` is empty for what is not known here.
    """

    kind: str = ""
    label: str = ""
    uuid: str = ""
    size_bytes: int = 0
    used_bytes: int | None = None
    inodes: int | None = None


def inspect(read: Read, start: int, size_bytes: int) -> FileSystemFacts:
    """Return what stands in the bytes from `start`, `size_bytes` of them."""
    head = read(start, min(4096, size_bytes))
    if len(head) >= 2048 and int.from_bytes(head[1080:1082], "little") == EXT_MAGIC:
        return _ext(head[1024:2048])
    if head[:4] == SQUASHFS_MAGIC:
        inodes, used = struct.unpack_from("<I", head, 4)[0], struct.unpack_from("<Q", head, 40)[0]
        return FileSystemFacts("squashfs", size_bytes=used, used_bytes=used, inodes=inodes)
    if head[4086:4096] == SWAP_MAGIC:
        pages = struct.unpack_from("<I", head, 1028)[0] + 1
        label = _text(head[1052:1068])
        return FileSystemFacts("swap", label, str(uuid.UUID(bytes=head[1036:1052])), pages * 4096, 4096)
    if len(head) >= 512 and head[510:512] == b"\x55\xaa" and head[0] in {0xEB, 0xE9}:
        return _fat(read, start, head)
    return FileSystemFacts()


def _ext(block: bytes) -> FileSystemFacts:
    inodes, blocks, _, free, free_inodes = struct.unpack_from("<5I", block, 0)
    size = 1024 << struct.unpack_from("<I", block, 24)[0]
    compatible, incompatible = struct.unpack_from("<2I", block, 92)
    if incompatible & EXT_64BIT:
        high, _, free_high = struct.unpack_from("<3I", block, 336)
        blocks, free = blocks | high << 32, free | free_high << 32
    kind = "ext4" if incompatible & 0x40 else "ext3" if compatible & 4 else "ext2"
    return FileSystemFacts(
        kind,
        _text(block[120:136]),
        str(uuid.UUID(bytes=block[104:120])),
        blocks * size,
        (blocks - free) * size,
        inodes - free_inodes,
    )


def _fat(read: Read, start: int, head: bytes) -> FileSystemFacts:
    sector, cluster, reserved, fats, root_entries, small_total = struct.unpack_from("<HBHBHH", head, 11)
    small_fat, total, large_fat = *struct.unpack_from("<H", head, 22), *struct.unpack_from("<2I", head, 32)
    if not (sector and cluster and reserved and fats):
        return FileSystemFacts()
    total, fat_sectors = small_total or total, small_fat or large_fat
    root_sectors = -(-root_entries * 32 // sector)
    data = reserved + fats * fat_sectors + root_sectors
    clusters = (total - data) // cluster
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    if clusters <= 0:
        return FileSystemFacts()
    where = 67 if bits == 32 else 39
    label = head[where + 4 : where + 15].decode("cp437").rstrip()
    table = read(start + reserved * sector, fat_sectors * sector)
    free = _free_clusters(table, bits, clusters)
    serial = f"{int.from_bytes(head[where : where + 4], 'little'):08X}"
    return FileSystemFacts(
        f"fat{bits}",
        "" if label == "NO NAME" else label,
        f"{serial[:4]}-{serial[4:]}",
        total * sector,
        (total - free * cluster) * sector,
    )


def _free_clusters(table: bytes, bits: int, clusters: int) -> int:
    """Count the clusters that no file has."""
    if bits == 12:
        count = 0
        for number in range(2, clusters + 2):
            pair = int.from_bytes(table[number * 3 // 2 : number * 3 // 2 + 2], "little")
            count += (pair >> 4 if number % 2 else pair & 0xFFF) == 0
        return count
    entries = array("I" if bits == 32 else "H")
    entries.frombytes(table[2 * bits // 8 : (clusters + 2) * bits // 8])
    return entries.count(0)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")
