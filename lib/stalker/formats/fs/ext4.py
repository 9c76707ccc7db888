"""The superblock of an ext2, ext3 or ext4: the one place that reads it. Pure: bytes in, numbers out.

What Linux refuses to mount by its superblock alone is not a file system here either. One is clean when nothing is
left to do after its last use: no journal to replay, no orphans to delete, no errors noted.

Sources: Linux, Documentation/filesystems/ext4/super.rst, blockgroup.rst and inodes.rst (extents), fs/ext4/super.c;
what resize2fs adds to a file system is read off file systems that it grew.
"""

from __future__ import annotations

import functools
import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.formats.partition_table.table import Read

MAGIC = 0xEF53
EXTENT_MAGIC = 0xF30A
SUPER_START, SUPER_BYTES = 1024, 1024
BLOCK_BYTES_MAX = 65536
GROUPS_MAX = 1 << 16

IS_VALID, HAS_ERRORS = 1, 2
HAS_JOURNAL = 0x4
NEEDS_RECOVERY, META_BG, HAS_EXTENTS, IS_64BIT = 0x4, 0x10, 0x40, 0x80
SPARSE_SUPER, HAS_LARGE_FILES, HAS_ORPHANS = 0x1, 0x2, 0x10000

KNOWN_INCOMPATIBLE = 0x2 | NEEDS_RECOVERY | META_BG | HAS_EXTENTS | IS_64BIT | 0x200 | 0x2000 | 0x4000
"""filetype, needs_recovery, meta_bg, extents, 64bit, flex_bg, metadata_csum_seed, large_dir"""
KNOWN_READ_ONLY = 0x7F | 0x400 | 0x8000 | HAS_ORPHANS
"""sparse_super to extra_isize, metadata_csum, verity, orphan_present"""

SMALLEST_GROUP_BLOCKS = 50
"""resize2fs leaves a last group out that has no more than its own tables and this."""

_REMAKE = "make it again without this feature: mke2fs -O ^{}"
_OFF = "take the feature off: tune2fs -O ^{}"
_INCOMPATIBLE = {
    0x8: ("journal_dev", "it is the journal of another file system"),
    0x100: ("mmp", _OFF),
    0x400: ("ea_inode", _REMAKE),
    0x8000: ("inline_data", _REMAKE),
    0x10000: ("encrypt", _REMAKE),
    0x20000: ("casefold", _REMAKE),
}
_READ_ONLY = {
    0x100: ("quota", _OFF),
    0x200: ("bigalloc", _REMAKE),
    0x1000: ("read-only", _OFF),
    0x2000: ("project", _OFF),
    0x4000: ("shared_blocks", "undo it: e2fsck -E unshare_blocks"),
}


class Free(NamedTuple):
    """Space for data, in blocks of 4096 bytes whatever the file system has, and for files."""

    blocks: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Super:
    """A superblock; features are bits. The defaults are what mke2fs gives a file system of ordinary size.

    `latest_s` is the last time noted in it, `growth_blocks` are reserved in each group for descriptors of groups
    to come, `journal` are the (block, count) of the journal where the superblock has a copy of its extents.
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
    compatible: int = HAS_JOURNAL
    label: str = ""
    uuid: str = ""
    inodes: int = 0
    reserved_blocks: int = 0
    first_block: int = 0
    group_blocks: int = 32768
    group_inodes: int = 8192
    descriptor_bytes: int = 64
    growth_blocks: int = 0
    journal: tuple[tuple[int, int], ...] = ()

    @property
    def kind(self) -> str:
        """`ext4` with extents, else `ext3` with a journal, else `ext2`."""
        return "ext4" if self.has_extents else "ext3" if self.compatible & HAS_JOURNAL else "ext2"

    @property
    def has_extents(self) -> bool:
        """Return whether new files are mapped by extents, as those of ext4 are."""
        return bool(self.incompatible & HAS_EXTENTS)

    @property
    def has_large_files(self) -> bool:
        """Return whether a file may have 2 GiB and more."""
        return bool(self.read_only & HAS_LARGE_FILES)

    @property
    def has_few_copies(self) -> bool:
        """Return whether only some groups have a copy of superblock and descriptors."""
        return bool(self.read_only & SPARSE_SUPER)

    @property
    def size_bytes(self) -> int:
        """The size of the whole file system."""
        return self.blocks * self.block_bytes

    @property
    def inode_table_blocks(self) -> int:
        """The size of the inode table of a group."""
        return -(-self.group_inodes * self.inode_bytes // self.block_bytes)

    @property
    def groups(self) -> int:
        """The number of block groups."""
        return self._groups(self.blocks)

    def free_at(self, size_bytes: int) -> Free:
        """Return what is surely free once it has grown to a size, without what is kept for root and the kernel."""
        blocks = max(size_bytes // self.block_bytes, self.blocks)
        old, new = self.groups, self._groups(blocks)
        descriptors = self._descriptor_blocks(new)
        kept = self._descriptor_blocks(old) + self.growth_blocks
        table = self.inode_table_blocks
        copies = sum(not self.has_few_copies or has_copy(group) for group in range(old, new))
        taken = (new - old) * (table + 2) + copies * (1 + max(kept, descriptors))
        if descriptors > kept:
            taken += sum(not self.has_few_copies or has_copy(group) for group in range(old)) * (
                descriptors - kept
            )
        if new > old:  # the last group may be left out, and what comes before it be cut
            taken += table + 2 + 1 + max(kept, descriptors) + SMALLEST_GROUP_BLOCKS
        reserved = -(-self.reserved_blocks * blocks // max(self.blocks, 1)) + kernel_blocks(blocks)
        free = self.free_blocks + blocks - self.blocks - taken - reserved
        return Free(
            free * self.block_bytes // 4096, self.free_inodes + max(new - old - 1, 0) * self.group_inodes
        )

    def _groups(self, blocks: int) -> int:
        return max(-(-(blocks - self.first_block) // self.group_blocks), 1)

    def _descriptor_blocks(self, groups: int) -> int:
        return -(-groups * self.descriptor_bytes // self.block_bytes)


def parse_super(data: bytes) -> Super | None:
    """Return the superblock in 1024 bytes, None when they are not one that Linux would mount."""
    if len(data) < SUPER_BYTES or int.from_bytes(data[56:58], "little") != MAGIC:
        return None
    inodes, blocks, reserved, free, free_inodes, first_block, size = struct.unpack_from("<7I", data, 0)
    group_blocks, _, group_inodes, mounted_s, written_s = struct.unpack_from("<5I", data, 32)
    state, revision = struct.unpack_from("<H", data, 58)[0], struct.unpack_from("<I", data, 76)[0]
    checked_s, last_orphan = (struct.unpack_from("<I", data, at)[0] for at in (64, 232))
    inode_bytes, descriptor_bytes, growth_blocks = 128, 32, 0
    compatible = incompatible = read_only = 0
    if revision:  # the first revision has no features, and anything in their place
        inode_bytes, growth_blocks = (struct.unpack_from("<H", data, at)[0] for at in (88, 206))
        compatible, incompatible, read_only = struct.unpack_from("<3I", data, 92)
    if incompatible & IS_64BIT:
        high, reserved_high, free_high = struct.unpack_from("<3I", data, 336)
        blocks, reserved, free = blocks | high << 32, reserved | reserved_high << 32, free | free_high << 32
        descriptor_bytes = struct.unpack_from("<H", data, 254)[0]
    block_bytes = 1024 << min(size, 7)
    if block_bytes > BLOCK_BYTES_MAX or not group_blocks or not group_inodes or first_block >= blocks:
        return None
    if not _is_power(inode_bytes, 128, block_bytes) or not _is_power(
        descriptor_bytes, 64 if incompatible & IS_64BIT else 32, block_bytes
    ):
        return None
    is_left_open = incompatible & NEEDS_RECOVERY or read_only & HAS_ORPHANS or last_orphan
    return Super(
        block_bytes=block_bytes,
        blocks=blocks,
        free_blocks=free,
        free_inodes=free_inodes,
        inode_bytes=inode_bytes,
        incompatible=incompatible,
        read_only=read_only,
        latest_s=max(mounted_s, written_s, checked_s),
        is_clean=not is_left_open and state & (IS_VALID | HAS_ERRORS) == IS_VALID,
        compatible=compatible,
        label=data[120:136].partition(b"\0")[0].decode("utf-8", "replace"),
        uuid=str(uuid.UUID(bytes=data[104:120])),
        inodes=inodes,
        reserved_blocks=reserved,
        first_block=first_block,
        group_blocks=group_blocks,
        group_inodes=group_inodes,
        descriptor_bytes=descriptor_bytes,
        growth_blocks=growth_blocks,
        journal=tuple(_journal(data[268:336])),
    )


def find_super(read: Read, start: int) -> Super | None:
    """Return the superblock of what begins at `start`, None when there is none."""
    return parse_super(read(start + SUPER_START, SUPER_BYTES))


def read_super(read: Read, start: int) -> Super:
    """Return the superblock of what begins at `start`. Raises StalkerError when there is none."""
    found = find_super(read, start)
    if found is None:
        raise StalkerError("there is no ext2, ext3 or ext4 where one was expected", f"at byte {start}")
    return found


def refuse_unknown(found: Super, size_bytes: int) -> None:
    """Raise StalkerError for a file system that cannot be changed here, or does not fit its place."""
    if found.size_bytes > size_bytes:
        raise StalkerError(
            "a file system is larger than its partition",
            f"it has {found.size_bytes} bytes, and its partition {size_bytes}",
            "the image is cut short, or its partition table is wrong: get it again",
        )
    if not found.is_clean:
        raise StalkerError(
            "a file system was not closed properly",
            "its journal was not replayed, or it has errors; it may be in use",
            "unmount it, or repair it: e2fsck -f",
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


def metadata_ranges(found: Super, read: Read, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) in bytes of the inode tables and the journal, as far as they lie within `size_bytes`.

    Nothing where the descriptors are not in one row behind the superblock.
    """
    if found.groups > GROUPS_MAX or found.incompatible & META_BG or found.size_bytes > size_bytes:
        return
    block_bytes, step = found.block_bytes, found.descriptor_bytes
    descriptors = read(start + (found.first_block + 1) * block_bytes, found.groups * step)
    ranges = list(found.journal)
    for at in range(0, len(descriptors) - step + 1, step):
        table = struct.unpack_from("<I", descriptors, at + 8)[0]
        if step >= 64:
            table |= struct.unpack_from("<I", descriptors, at + 40)[0] << 32
        ranges.append((table, found.inode_table_blocks))
    for block, count in ranges:
        begin, end = block * block_bytes, (block + count) * block_bytes
        if begin > 0 and end <= size_bytes:
            yield start + begin, start + end


def kernel_blocks(blocks: int) -> int:
    """Return what Linux keeps of a mounted ext4 for itself (fs/ext4/super.c, ext4_calculate_resv_clusters)."""
    return min(-(-blocks // 50), 4096)


@functools.cache
def has_copy(group: int) -> bool:
    """Return whether a group of an ext4 has copies of the superblock and the descriptors."""
    if group <= 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def _journal(copy: bytes) -> Iterator[tuple[int, int]]:
    """Yield (block, count) of the journal, from the copy of its inode's extents in the superblock."""
    magic, entries, _, depth = struct.unpack_from("<4H", copy, 0)
    if magic != EXTENT_MAGIC or depth or entries > 4:
        return
    for number in range(entries):
        _, count, high, low = struct.unpack_from("<IHHI", copy, 12 + 12 * number)
        yield high << 32 | low, count if count <= 32768 else count - 32768


def _is_power(value: int, least: int, most: int) -> bool:
    return least <= value <= most and not value & (value - 1)
