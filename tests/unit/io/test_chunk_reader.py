"""Chunks read as a file."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.io.chunk_reader import Readable
from unit.helpers.tars import make_tar


@given(st.lists(st.binary(max_size=9), max_size=9), st.lists(st.integers(0, 12), max_size=9))
def test_what_is_read_is_what_came(chunks, sizes):
    """In pieces of any size, shorter only at the end."""
    file, whole = Readable(iter(chunks)), io.BytesIO(b"".join(chunks))

    assert [file.read(size) for size in sizes] == [whole.read(size) for size in sizes]
    assert file.read() == whole.read()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_an_empty_chunk_does_not_end_a_stream(size):
    """Fewer bytes than asked for come at the end alone."""
    file = Readable(iter([b"ab", b"", b"cdefg", b"h"]))
    pieces = []
    while piece := file.read(size):
        pieces.append(piece)

    assert b"".join(pieces) == b"abcdefgh"
    assert all(len(piece) == size for piece in pieces[:-1])


def test_no_more_is_taken_than_is_asked_for():
    """What comes later may not be there yet."""
    taken = []

    def chunks():
        for number in range(3):
            taken.append(number)
            yield b"abcd"

    assert Readable(chunks()).read(5) == b"abcda"
    assert taken == [0, 1]


def test_a_tar_is_read_as_it_comes():
    data = make_tar(("a", b"x" * 3000))

    with tarfile.open(
        fileobj=Readable(data[at : at + 700] for at in range(0, len(data), 700)), mode="r|"
    ) as archive:
        assert [(one.name, archive.extractfile(one).read()) for one in archive] == [("a", b"x" * 3000)]
