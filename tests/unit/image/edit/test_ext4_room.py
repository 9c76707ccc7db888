"""How much of an ext4 a plan takes."""

from __future__ import annotations

import pytest

from stalker.errors import StalkerError
from stalker.image.edit.entries import Entry
from stalker.image.edit.ext4_plan import plan
from stalker.image.edit.ext4_room import check_room, map_blocks, needed
from stalker.image.edit.ext4_script import Inode
from stalker.image.edit.ext4_super import HAS_EXTENTS, Super

ROOT = {"/": Inode(2, "folder", 0o755, 0, 0, 4096, 3, 0, b"", (), ())}


def file_system(
    free_blocks: int = 100, free_inodes: int = 100, size: int = 4096, *, has_extents: bool = True
) -> Super:
    return Super(size, 1000, free_blocks, free_inodes, 256, HAS_EXTENTS if has_extents else 0, 0, 0, True)


@pytest.mark.parametrize(
    ("entries", "blocks", "inodes"),
    [
        ([Entry("/a")], 1, 1),
        ([Entry("/a", size_bytes=1)], 2, 1),
        ([Entry("/a", size_bytes=4097)], 3, 1),
        ([Entry("/d", "folder")], 2, 1),
        ([Entry("/d/a", size_bytes=4096)], 3, 2),
        ([Entry("/l", "link", target="x" * 59)], 1, 1),
        ([Entry("/l", "link", target="x" * 60)], 2, 1),
        ([Entry("/a", xattrs=((b"user.x", b"y"),))], 2, 1),
        ([Entry("/a"), Entry("/b", "hardlink", target="/a")], 1, 2),
        ([Entry(f"/d/{'n' * 250}{number}") for number in range(30)], 1 + 1 + 1, 31),
    ],
)
def test_a_plan_takes_so_much(entries: list[Entry], blocks: int, inodes: int) -> None:
    """Data, what maps it, folders and their growth, long links, attributes."""
    assert needed(plan(entries, ROOT, 0), file_system()) == (blocks, inodes)


@pytest.mark.parametrize(
    ("data", "has_extents", "blocks"),
    [
        (0, True, 0),
        (4 * 32767, True, 0),
        (4 * 32767 + 1, True, 1),
        (32767 * 400, True, 2),
        (12, False, 0),
        (13, False, 1),
        (12 + 1024, False, 1),
        (12 + 1024 + 1, False, 3),
        (12 + 1024 + 1024**2, False, 1 + 1 + 1024),
        (12 + 1024 + 1024**2 + 1, False, 1 + 1 + 1024 + 3),
    ],
)
def test_a_map_takes_so_much(data: int, has_extents: bool, blocks: int) -> None:
    """Four extents are in the inode, 340 in a block; twelve blocks are in the inode, 1024 in an indirect one."""
    assert map_blocks(data, file_system(has_extents=has_extents)) == blocks


def test_what_fits_exactly_is_taken() -> None:
    """One block or one inode fewer is not enough, and it says which."""
    found = plan([Entry("/a", size_bytes=4096 * 9)], ROOT, 0)

    check_room(found, file_system(10, 1))

    with pytest.raises(StalkerError, match="no room"):
        check_room(found, file_system(9, 1))
    with pytest.raises(StalkerError, match="so many files"):
        check_room(found, file_system(10, 0))


def test_two_gigabytes_need_a_feature() -> None:
    """An old ext2 may lack it."""
    with pytest.raises(StalkerError, match="2 GiB"):
        check_room(plan([Entry("/a", size_bytes=1 << 31)], ROOT, 0), file_system(1 << 30))
