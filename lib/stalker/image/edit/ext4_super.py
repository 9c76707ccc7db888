"""What an ext2, ext3 or ext4 says of itself in its superblock, and which of them are not changed here.

Source: Linux, Documentation/filesystems/ext4/super.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from stalker.image.table import Read

MAGIC = 0xEF53
SUPER_START, SUPER_BYTES = 1024, 1024

IS_VALID, HAS_ERRORS = 1, 2
NEEDS_RECOVERY, HAS_EXTENTS, IS_64BIT = 0x4, 0x40, 0x80
HAS_LARGE_FILES, HAS_ORPHANS = 0x2, 0x10000

KNOWN_INCOMPATIBLE = 0x2 | NEEDS_RECOVERY | 0x10 | HAS_EXTENTS | IS_64BIT | 0x200 | 0x2000 | 0x4000
"""filetype, needs_recovery, meta_bg, extents, 64bit, flex_bg, metadata_csum_seed, large_dir"""
KNOWN_READ_ONLY = 0x7F | 0x400 | 0x8000 | HAS_ORPHANS
"""sparse_super to extra_isize, metadata_csum, verity, orphan_present"""

_ANEW = "make it anew without this feature: mke2fs -O ^{}"
_OFF = "take the feature off: tune2fs -O ^{}"
_INCOMPATIBLE = {
    0x8: ("journal_dev", "it is the journal of another file system"),
    0x100: ("mmp", _OFF),
    0x400: ("ea_inode", _ANEW),
    0x8000: ("inline_data", _ANEW),
    0x10000: ("encrypt", _ANEW),
    0x20000: ("casefold", _ANEW),
}
_READ_ONLY = {
    0x100: ("quota", _OFF),
    0x200: ("bigalloc", _ANEW),
    0x1000: ("read-only", _OFF),
    0x2000: ("project", _OFF),
    0x4000: ("shared_blocks", "undo it: e2fsck -E unshare_blocks"),
}


@dataclass(frozen=True, slots=True)
class Super:
    """The superblock; features are bits.

    `latest_s` is the last time that it tells of. One that is not clean is in use, or was left in the middle.
    """

    block_bytes: int
    blocks: int
    free_blocks: int
    free_inodes: int
    inode_bytes: int
    incompatible: int
    read_only: int
    latest_s: int
    is_clean: bool

    @property
    def has_extents(self) -> bool:
        """Say whether new files are mapped by extents, as those of ext4 are."""
        return bool(self.incompatible & HAS_EXTENTS)

    @property
    def has_large_files(self) -> bool:
        """Say whether a file may have 2 GiB and more."""
        return bool(self.read_only & HAS_LARGE_FILES)


def read_super(read: Read, start: int) -> Super:
    """Return the superblock of what begins at `start`. Raises StalkerError when there is none."""
    data = read(start + SUPER_START, SUPER_BYTES)
    if len(data) < SUPER_BYTES or struct.unpack_from("<H", data, 56)[0] != MAGIC:
        raise StalkerError("there is no ext2, ext3 or ext4 where one was expected", f"at byte {start}")
    blocks, _, free, free_inodes, _, size = struct.unpack_from("<6I", data, 4)
    state, revision = struct.unpack_from("<H", data, 58)[0], struct.unpack_from("<I", data, 76)[0]
    inode_bytes, incompatible, read_only = 128, 0, 0
    if revision:
        inode_bytes = struct.unpack_from("<H", data, 88)[0]
        incompatible, read_only = struct.unpack_from("<2I", data, 96)
    if incompatible & IS_64BIT:
        high, _, free_high = struct.unpack_from("<3I", data, 336)
        blocks, free = blocks | high << 32, free | free_high << 32
    mounted_s, written_s, checked_s = struct.unpack_from("<2I12xI", data, 44)[:3]
    last_orphan = struct.unpack_from("<I", data, 232)[0]
    is_dirty = incompatible & NEEDS_RECOVERY or read_only & HAS_ORPHANS or last_orphan
    is_clean = not is_dirty and state & (IS_VALID | HAS_ERRORS) == IS_VALID
    latest_s = max(mounted_s, written_s, checked_s)
    return Super(
        1024 << size, blocks, free, free_inodes, inode_bytes, incompatible, read_only, latest_s, is_clean
    )


def refuse_unknown(found: Super, size_bytes: int) -> None:
    """Raise StalkerError for a file system that cannot be changed here, or does not fit its place."""
    if found.blocks * found.block_bytes > size_bytes:
        raise StalkerError(
            "a file system is larger than its partition",
            f"it has {found.blocks * found.block_bytes} bytes, and its partition {size_bytes}",
            "the image is cut short, or its partition table is wrong: get it again",
        )
    if not found.is_clean:
        raise StalkerError(
            "a file system was not closed properly",
            "its journal was not replayed, or it has errors; it may be in use",
            "unmount it, or mend it: e2fsck -f",
        )
    for bits, known, named in (
        (found.incompatible, KNOWN_INCOMPATIBLE, _INCOMPATIBLE),
        (found.read_only, KNOWN_READ_ONLY, _READ_ONLY),
    ):
        bit = next((1 << number for number in range(32) if bits & ~known & 1 << number), 0)
        if bit:
            name, remedy = named.get(bit, (f"{bit:#x}", "choose another base, with an ordinary ext4"))
            raise StalkerError(
                f"nothing can be put into this file system: it has the feature {name}",
                "files of such a file system are kept in a way that is not changed from outside",
                remedy.format(name),
            )
