"""The kind of a file system and its main numbers, from its first bytes: ext, FAT, squashfs, swap.

Of btrfs, F2FS, XFS, LUKS and LVM only the kind is known. Sources: Linux, fs/squashfs/squashfs_fs.h,
include/linux/swap.h, include/uapi/linux/magic.h, fs/btrfs/fs.h; cryptsetup, LUKS2 on-disk format; lvm2,
lib/label/label.h.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.formats.fs.ext4 import SUPER_START, parse_super
from stalker.formats.fs.ext4_top import top_names
from stalker.formats.fs.fat.boot_sector import HEAD_BYTES, BadBootSector, Geometry, parse_boot_sector
from stalker.formats.fs.fat.table import free_clusters

if TYPE_CHECKING:
    from stalker.formats.fs.ext4 import Super
    from stalker.formats.partition_table.table import Read

SQUASHFS_MAGIC = b"hsqs"
SWAP_MAGIC = b"SWAPSPACE2"
_MAGICS = {
    "btrfs": (0x10040, (b"_BHRfS_M",)),
    "f2fs": (1024, (b"\x10\x20\xf5\xf2",)),
    "xfs": (0, (b"XFSB",)),
    "luks": (0, (b"LUKS\xba\xbe",)),
    "lvm": (512, (b"LABELONE",)),
}
"""Where the first bytes of each are."""


@dataclass(frozen=True, slots=True)
class FileSystemFacts:
    """A file system by its own words: `used_bytes` includes what it keeps for itself, None where that is unknown.

    `inodes` are those in use, of ext4 and squashfs. `kind` is empty for what is not known here. `top` are the names
    in the top directory of an ext, None where they are not known.
    """

    kind: str = ""
    label: str = ""
    uuid: str = ""
    size_bytes: int = 0
    used_bytes: int | None = None
    inodes: int | None = None
    top: tuple[str, ...] | None = None


def inspect(read: Read, start: int, size_bytes: int) -> FileSystemFacts:
    """Return what is in the bytes from `start`, `size_bytes` of them."""
    head = read(start, min(4096, size_bytes))
    ext = parse_super(head[SUPER_START : 2 * SUPER_START])
    if ext is not None:
        return _ext(ext, top_names(read, start))
    if head[:4] == SQUASHFS_MAGIC and len(head) >= 48:
        inodes, used = struct.unpack_from("<I", head, 4)[0], struct.unpack_from("<Q", head, 40)[0]
        return FileSystemFacts("squashfs", size_bytes=used, used_bytes=used, inodes=inodes)
    if head[4086:4096] == SWAP_MAGIC:
        pages = struct.unpack_from("<I", head, 1028)[0] + 1
        label = head[1052:1068].partition(b"\0")[0].decode("utf-8", "replace")
        return FileSystemFacts("swap", label, str(uuid.UUID(bytes=head[1036:1052])), pages * 4096, 4096)
    for kind, (at, magics) in _MAGICS.items():
        if at < size_bytes and read(start + at, 8).startswith(magics):
            return FileSystemFacts(kind)
    try:
        return _fat(read, parse_boot_sector(head[:HEAD_BYTES], start))
    except BadBootSector:
        return FileSystemFacts()


def _ext(found: Super, top: frozenset[str] | None) -> FileSystemFacts:
    return FileSystemFacts(
        found.kind,
        found.label,
        found.uuid,
        found.size_bytes,
        (found.blocks - found.free_blocks) * found.block_bytes,
        found.inodes - found.free_inodes,
        None if top is None else tuple(sorted(top)),
    )


def _fat(read: Read, found: Geometry) -> FileSystemFacts:
    table = read(found.tables[0], found.table_bytes)
    used = None
    if len(table) == found.table_bytes:
        used = found.size_bytes - free_clusters(table, found) * found.cluster_bytes
    serial = f"{found.serial:08X}"
    return FileSystemFacts(
        f"fat{found.bits}", found.label, f"{serial[:4]}-{serial[4:]}", found.size_bytes, used
    )
