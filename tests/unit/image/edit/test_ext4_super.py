"""What a superblock says, made by hand from the layout that the kernel documents."""

from __future__ import annotations

import struct

import pytest

from stalker.errors import StalkerError
from stalker.image.edit.ext4_super import Super, read_super, refuse_unknown

BEFORE = 512


def made(**fields: int) -> bytes:
    """Return what lies where a file system begins; fields are those that are not as usual."""
    data = bytearray(2048)
    values = {
        "blocks": 1000,
        "free": 500,
        "inodes": 64,
        "free_inodes": 53,
        "size": 2,
        "state": 1,
        "revision": 1,
    }
    values |= {"magic": 0xEF53, "inode_size": 256, "incompatible": 0x2C2, "read_only": 0x46B} | fields
    places = {"inodes": 0, "blocks": 4, "free": 12, "free_inodes": 16, "size": 24, "revision": 76}
    places |= {
        "incompatible": 96,
        "read_only": 100,
        "mounted": 44,
        "written": 48,
        "checked": 64,
        "orphan": 232,
        "blocks_high": 336,
        "free_high": 344,
    }
    for name, value in values.items():
        if name in places:
            struct.pack_into("<I", data, 1024 + places[name], value)
    for name, place in {"magic": 56, "state": 58, "inode_size": 88}.items():
        struct.pack_into("<H", data, 1024 + place, values[name])
    return bytes(BEFORE) + bytes(data)


def read(data: bytes) -> Super:
    return read_super(lambda at, count: data[at : at + count], BEFORE)


def test_a_superblock_is_read() -> None:
    """Numbers of more than 32 bits too, where it has them."""
    found = read(made(blocks_high=2, free_high=1))

    assert (found.block_bytes, found.inode_bytes) == (4096, 256)
    assert (found.blocks, found.free_blocks, found.free_inodes) == ((2 << 32) + 1000, (1 << 32) + 500, 53)
    assert found.has_extents
    assert found.has_large_files
    assert found.is_clean


def test_high_halves_without_the_feature_are_nothing() -> None:
    """Older ones have something else there."""
    found = read(made(incompatible=0x42, blocks_high=2, free_high=1))

    assert (found.blocks, found.free_blocks) == (1000, 500)


def test_the_oldest_have_no_features() -> None:
    """Revision 0 has small inodes, and anything where features stand later."""
    found = read(made(revision=0, incompatible=0xFFFF, read_only=0xFFFF, state=1))

    assert (found.inode_bytes, found.incompatible, found.read_only) == (128, 0, 0)


@pytest.mark.parametrize(
    "change",
    [{"state": 0}, {"state": 3}, {"incompatible": 0x46}, {"read_only": 0x10001}, {"orphan": 12}],
)
def test_what_was_not_closed_is_refused(change: dict[str, int]) -> None:
    """In use, with errors, a journal or orphans to be dealt with."""
    found = read(made(**change))

    assert not found.is_clean
    with pytest.raises(StalkerError, match="not closed properly"):
        refuse_unknown(found, 1 << 40)


@pytest.mark.parametrize("name", ["mounted", "written", "checked"])
def test_the_last_time_is_told(name: str) -> None:
    """Whichever it was: the tools take none before it."""
    times = {"mounted": 5, "written": 6, "checked": 7} | {name: 1_700_000_000}

    assert read(made(**times)).latest_s == 1_700_000_000


@pytest.mark.parametrize("data", [made(magic=0), made()[:2000], b""])
def test_what_is_no_superblock_is_an_error(data: bytes) -> None:
    with pytest.raises(StalkerError, match="no ext2, ext3 or ext4"):
        read(data)


@pytest.mark.parametrize(
    ("change", "name", "remedy"),
    [
        ({"incompatible": 0x8042}, "inline_data", "mke2fs -O ^inline_data"),
        ({"incompatible": 0x142}, "mmp", "tune2fs -O ^mmp"),
        ({"incompatible": 0x80000042}, "0x80000000", "another base"),
        ({"read_only": 0x203}, "bigalloc", "mke2fs -O ^bigalloc"),
        ({"read_only": 0x103}, "quota", "tune2fs -O ^quota"),
        ({"read_only": 0x1003}, "read-only", "tune2fs -O ^read-only"),
    ],
)
def test_a_feature_that_is_not_mastered_is_named(change: dict[str, int], name: str, remedy: str) -> None:
    """With what to do about it; one that nobody knows yet too."""
    with pytest.raises(StalkerError, match=f"has the feature {name}") as raised:
        refuse_unknown(read(made(**change)), 1 << 40)

    assert remedy in raised.value.resolution


def test_a_file_system_has_to_fit_its_partition() -> None:
    """Exactly is enough."""
    refuse_unknown(read(made()), 1000 * 4096)

    with pytest.raises(StalkerError, match="larger than its partition"):
        refuse_unknown(read(made()), 1000 * 4096 - 1)
