"""Bytes of an image collected in memory, against bytes written to it."""

from __future__ import annotations

import itertools
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.edit.view import FileView, Overlay, merged

SIZE = 20_000
WRITES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=9000)), max_size=8)


def image(content: bytes) -> int:
    with tempfile.TemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        return os.dup(stream.fileno())


@given(
    writes=WRITES,
    back=WRITES,
    at=st.integers(0, SIZE),
    count=st.integers(0, 9000),
    fill=st.binary(max_size=3),
)
def test_an_overlay_reads_as_an_image_that_was_written(
    writes: list[tuple[int, bytes]], back: list[tuple[int, bytes]], at: int, count: int, fill: bytes
) -> None:
    """Its changes make the image so; what is taken back was never there; nothing is written before."""
    was = (fill * SIZE).ljust(SIZE, b"z")[:SIZE]
    below, plain = image(was), image(was)
    overlay, view = Overlay(below), FileView(plain)
    for start, data in writes:
        overlay.pwrite(data[: SIZE - start], start)
        view.pwrite(data[: SIZE - start], start)
    overlay.mark()
    for start, data in back:
        overlay.pwrite(data[: SIZE - start], start)
    overlay.go_back()

    assert overlay.pread(count, at) == view.pread(count, at)
    assert os.pread(below, SIZE, 0) == was
    changes = overlay.changes()
    assert all(start % 512 == 0 for start, _ in changes)
    assert all(one[0] + len(one[1]) < two[0] for one, two in itertools.pairwise(changes))
    for start, data in changes:
        os.pwrite(below, data, start)
    assert os.pread(below, SIZE + 1, 0) == os.pread(plain, SIZE + 1, 0)
    os.close(below)
    os.close(plain)


def test_what_another_writes_below_is_not_hidden() -> None:
    """The content of files goes into the image while names are collected: only written sectors are kept."""
    below = image(b"a" * 8192)
    overlay = Overlay(below)
    overlay.pwrite(b"b" * 512, 512)
    os.pwrite(below, b"c" * 512, 1024)

    assert overlay.pread(1536, 0) == b"a" * 512 + b"b" * 512 + b"c" * 512
    assert overlay.changes() == [(512, b"b" * 512)]
    os.close(below)


def test_nothing_is_written_beyond_the_end() -> None:
    below = image(b"a" * 1000)
    overlay = Overlay(below)

    with pytest.raises(ValueError, match="outside"):
        overlay.pwrite(b"x" * 2, 999)

    overlay.pwrite(b"x", 999)
    assert overlay.changes() == [(512, b"a" * 487 + b"x")]
    os.close(below)


def test_pieces_that_touch_become_one() -> None:
    assert merged([(4, b"b"), (0, b"aaaa"), (6, b"c")]) == [(0, b"aaaab"), (6, b"c")]
