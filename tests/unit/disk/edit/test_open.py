"""Bytes of files written into ranges of an image."""

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.disk.edit.open import fill_from_file, fill_from_pieces
from stalker.disk.edit.view import FileView, Overlay
from stalker.errors import InputError
from stalker.formats.fs.entry import Range

RANGES = [Range(10, 5), Range(100, 1), Range(40, 20)]
CONTENT = bytes(range(26))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"." * 200)
    with path.open("r+b") as stream:
        yield stream


def content_of(image, ranges):
    return b"".join(os.pread(image.fileno(), one.length, one.start) for one in ranges)


def outside_of(image, ranges):
    whole = bytearray(os.pread(image.fileno(), 1000, 0))
    for start, length in ranges:
        whole[start : start + length] = b"." * length
    return bytes(whole)


def test_a_file_goes_into_its_ranges_in_order(image, tmp_path):
    """Nothing else of the image changes."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    told = []

    fill_from_file(FileView(image.fileno()), RANGES, source, told.append)

    assert content_of(image, RANGES) == CONTENT
    assert outside_of(image, RANGES) == b"." * 200
    assert sum(told) == 26


@given(cuts=st.lists(st.integers(0, 26), max_size=6))
def test_pieces_of_any_size_go_into_the_ranges(cuts):
    """However a stream is cut, the bytes are the same."""
    edges = [0, *sorted(cuts), 26]
    pieces = [CONTENT[a:b] for a, b in itertools.pairwise(edges)]
    with tempfile.TemporaryFile() as stream:
        stream.write(b"." * 200)
        stream.flush()

        fill_from_pieces(FileView(stream.fileno()), RANGES, pieces, "a", lambda _: None)

        assert content_of(stream, RANGES) == CONTENT
        assert outside_of(stream, RANGES) == b"." * 200


@pytest.mark.parametrize("size", [0, 25, 27])
def test_a_file_of_another_size_than_its_ranges_is_refused(image, tmp_path, size):
    """Somebody wrote to it since it was measured."""
    source = tmp_path / "source"
    source.write_bytes(b"x" * size)

    with pytest.raises(InputError, match="source changed"):
        fill_from_file(FileView(image.fileno()), RANGES, source, lambda _: None)


@pytest.mark.parametrize(
    ("pieces", "words"), [([b"x" * 25], "ends early"), ([b"x" * 20, b"x" * 7], "longer")]
)
def test_a_stream_of_another_length_is_refused(image, pieces, words):
    """An archive whose members are not as long as it says."""
    with pytest.raises(InputError, match=words):
        fill_from_pieces(FileView(image.fileno()), RANGES, pieces, "a", lambda _: None)

    assert outside_of(image, RANGES) == b"." * 200


def test_nothing_goes_into_no_ranges(image):
    """An empty file has none."""
    fill_from_pieces(FileView(image.fileno()), [], [], "a", lambda _: None)
    fill_from_file(FileView(image.fileno()), [], Path(os.devnull), lambda _: None)

    assert os.pread(image.fileno(), 1000, 0) == b"." * 200


def test_an_image_that_is_not_written_collects_a_file(image, tmp_path):
    """The bytes are in the view alone."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    view = Overlay(image.fileno())

    fill_from_file(view, RANGES, source, lambda _: None)

    assert b"".join(view.pread(one.length, one.start) for one in RANGES) == CONTENT
    assert os.pread(image.fileno(), 1000, 0) == b"." * 200
