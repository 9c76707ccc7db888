"""Inodes as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.edit.ext4.inode import EXTENT_BLOCKS, Inode, extent_map, extents
from stalker.formats.fs.entry import Entry, Found


@given(
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**48),
)
def test_what_was_described_is_found(mode: int, uid: int, gid: int, size: int) -> None:
    inode = Inode(bytes(256))
    inode.describe(Entry("/x", mode=mode, uid=uid, gid=gid))
    inode.set_size(size)
    inode.set_links(3)

    assert inode.found(b"") == Found("file", size, mode, uid, gid)
    assert inode.links == 3


@pytest.mark.parametrize("time_s", [-(2**31), -1, 0, 1, 2**31 - 1, 2**31, 2**32, 2**34 - 2**31 - 1])
def test_times_up_to_2446_fit(time_s: int) -> None:
    """As the kernel reads them: 32 bits with a sign, and two more that count up."""
    inode = Inode(bytes(256))

    inode.describe(Entry("/x", mtime_s=time_s))

    low, extra = struct.unpack_from("<i", inode.data, 16)[0], struct.unpack_from("<I", inode.data, 136)[0]
    assert low + ((extra & 3) << 32) == time_s


def test_a_small_inode_holds_times_up_to_2038() -> None:
    inode = Inode(bytes(128))

    inode.describe(Entry("/x", mtime_s=2**33))

    assert struct.unpack_from("<i", inode.data, 16) == (2**31 - 1,)
    assert len(inode.data) == 128


def test_a_long_run_is_several_extents() -> None:
    """None is longer than the bits for its length say; their logical blocks follow one another."""
    found = extents([(100, EXTENT_BLOCKS + 5), (7, 1)])

    assert found == [
        (0, EXTENT_BLOCKS, 100),
        (EXTENT_BLOCKS, 5, 100 + EXTENT_BLOCKS),
        (EXTENT_BLOCKS + 5, 1, 7),
    ]
    data = extent_map(found)
    assert struct.unpack_from("<4H", data) == (0xF30A, 3, 4, 0)
    assert struct.unpack_from("<IHHI", data, 36) == (EXTENT_BLOCKS + 5, 1, 0, 7)
