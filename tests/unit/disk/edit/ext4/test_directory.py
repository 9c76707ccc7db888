"""The names of a directory in memory, against a mapping."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.edit.ext4.directory import TAIL, Directory
from stalker.errors import StalkerError

SIZE = 1024


def empty(*, has_tail: bool) -> bytes:
    """Return a block without names."""
    if not has_tail:
        return struct.pack("<IHBB", 0, SIZE, 0, 0).ljust(SIZE, b"\0")
    return struct.pack("<IHBB", 0, SIZE - 12, 0, 0).ljust(SIZE - 12, b"\0") + struct.pack("<IHBBI", *TAIL, 7)


def names_of(directory: Directory, *, has_tail: bool) -> dict[bytes, int]:
    """Read the blocks again."""
    read = Directory([bytes(block) for block in directory.blocks], has_tail=has_tail, has_kinds=True)
    return {name: found.inode for name, found in read._names.items()}


@given(
    names=st.lists(st.tuples(st.binary(min_size=1, max_size=255), st.integers(1, 1 << 31)), max_size=60),
    has_tail=st.booleans(),
)
def test_names_that_were_added_are_found(names: list[tuple[bytes, int]], has_tail: bool) -> None:
    """However long they are; a name that is there gets the new inode, and only changed blocks are written."""
    directory, model = Directory([empty(has_tail=has_tail)], has_tail=has_tail, has_kinds=True), {}
    for name, inode in names:
        if name in model:
            directory.replace(name, inode, 1)
        else:
            while not directory.add(name, inode, 1):
                directory.grow(empty(has_tail=has_tail))
        model[name] = inode

    assert names_of(directory, has_tail=has_tail) == model
    assert all(directory.find(name) == inode for name, inode in model.items())
    assert directory.find(b"not there" * 40) == 0
    if has_tail:
        assert all(block[-12:-4] == struct.pack("<IHBB", *TAIL) for block in directory.blocks)


def test_a_block_of_an_index_becomes_an_ordinary_one() -> None:
    """It gets what holds a checksum, though bytes of an old one are left where no entry leads to."""
    block = bytearray(empty(has_tail=True))
    struct.pack_into("<IHBB", block, 0, 2, 12, 1, 2)
    struct.pack_into("<IHBB", block, 12, 2, SIZE - 12, 2, 2)
    block[8:9], block[20:22] = b".", b".."
    directory = Directory([bytes(block)], has_tail=True, has_kinds=True)

    directory.drop_index()

    assert directory.dirty == {0}
    assert struct.unpack_from("<IH", directory.blocks[0], 12) == (2, SIZE - 24)
    assert names_of(directory, has_tail=True) == {b".": 2, b"..": 2}


@pytest.mark.parametrize(
    "head",
    [
        (1, 0, 1, 1),
        (1, 7, 1, 1),
        (1, 10, 1, 1),
        (1, SIZE + 4, 1, 1),
        (1, 8, 1, 1),
        (1, 12, 0, 1),
        (0, 8, 0, 0),
    ],
)
def test_a_damaged_block_is_refused(head: tuple[int, int, int, int]) -> None:
    """An entry that leads nowhere, or out of the block."""
    with pytest.raises(StalkerError, match="damaged"):
        Directory([struct.pack("<IHBB", *head).ljust(SIZE, b"\0")], has_tail=False, has_kinds=True)
