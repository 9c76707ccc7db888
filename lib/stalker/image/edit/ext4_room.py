"""How many blocks and inodes of an ext4 a plan takes, estimated from above; pure.

What cannot be known is how scattered the free blocks lie: a file in very many pieces takes more blocks to
map it than are counted here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from stalker.config.disk_sizes import shown
from stalker.errors import StalkerError
from stalker.image.edit.ext4_plan import path_bytes

if TYPE_CHECKING:
    from stalker.image.edit.ext4_plan import New, Plan
    from stalker.image.edit.ext4_super import Super

RUN_BLOCKS = 32767
"""The longest extent that nothing was written to."""
RUNS_IN_INODE, RUN_BYTES, TREE_HEAD_BYTES = 4, 12, 16
DIRECT_BLOCKS, POINTER_BYTES = 12, 4
FAST_LINK_BYTES = 59
LARGE_FILE_BYTES = 1 << 31
FOLDER_BLOCK_HEAD_BYTES = 36
"""What `.`, `..` and a checksum take of a block."""


def check_room(plan: Plan, found: Super) -> None:
    """Raise StalkerError when a plan does not fit."""
    blocks, inodes = needed(plan, found)
    if blocks > found.free_blocks:
        raise StalkerError(
            "there is no room in the file system",
            f"{shown(blocks * found.block_bytes)} are needed, and {shown(found.free_blocks * found.block_bytes)} "
            "are free; what replaced files had is free only when the image is done",
            "make it larger, or put less into it",
        )
    if inodes > found.free_inodes:
        raise StalkerError(
            "the file system cannot hold so many files",
            f"{inodes} inodes are needed, and {found.free_inodes} are free",
            "put fewer files into it, or use a file system with more inodes",
        )
    if not found.has_large_files and any(one.entry.size_bytes >= LARGE_FILE_BYTES for one in plan.made):
        raise StalkerError(
            "the file system cannot hold a file of 2 GiB",
            "it lacks the feature large_file",
            "add it: tune2fs -O large_file",
        )


def needed(plan: Plan, found: Super) -> tuple[int, int]:
    """Return the blocks and inodes that a plan takes. What it frees is not given out again."""
    blocks = sum(_blocks(one, found) for one in plan.made)
    grown: dict[str, int] = defaultdict(int)
    for names in [*(one.names for one in plan.made), *(one.gained for one in plan.changed)]:
        for name in names:
            folder, _, last = name.rpartition("/")
            grown[folder] += 8 + -(-len(path_bytes(last)) // 4) * 4
    fresh = {one.entry.path for one in plan.made if one.entry.kind == "folder"}
    for folder, size_bytes in grown.items():
        room = found.block_bytes - FOLDER_BLOCK_HEAD_BYTES
        # A new folder has its first block already. A full block of an indexed folder becomes two half full ones.
        blocks += max(0, -(-size_bytes // room) - 1) if folder in fresh else -(-2 * size_bytes // room)
    # A hard link is made by way of a file that is taken away at once.
    is_lent = any(len(one.names) > 1 for one in plan.made) or any(one.gained for one in plan.changed)
    return blocks, len(plan.made) + is_lent


def _blocks(one: New, found: Super) -> int:
    entry = one.entry
    extra = 1 if entry.xattrs else 0
    match entry.kind:
        case "folder":
            return 1 + extra
        case "link":
            return int(len(path_bytes(entry.target)) > FAST_LINK_BYTES) + extra
        case _:
            data = -(-entry.size_bytes // found.block_bytes)
            return data + map_blocks(data, found) + extra


def map_blocks(data: int, found: Super) -> int:
    """Return how many blocks tell where so many blocks of a file are."""
    total = 0
    if found.has_extents:
        left = -(-data // RUN_BLOCKS)
        while left > RUNS_IN_INODE:
            left = -(-left // ((found.block_bytes - TREE_HEAD_BYTES) // RUN_BYTES))
            total += left
        return total
    pointers = found.block_bytes // POINTER_BYTES
    left = max(0, data - DIRECT_BLOCKS)
    for depth in (1, 2, 3):  # an indirect block, a block of those, and a block of these
        here = min(left, pointers**depth)
        left -= here
        total += sum(-(-here // pointers**step) for step in range(1, depth + 1))
    return total
