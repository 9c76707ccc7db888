"""A disk image as pieces to write: raw or compressed, whole or by its block map."""

from __future__ import annotations

import gzip
import os

import pytest

from stalker.disk.pack import bmap_text
from stalker.errors import InputError, PlanError
from stalker.flash.source import check_digest, open_source

MIB = 1 << 20


@pytest.fixture
def image(tmp_path):
    """Data, a hole, data up to half a block."""
    path = tmp_path / "x.img"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(6 * MIB)
        file.write(os.urandom(700))
    return path


def joined(source):
    """Return the image that the pieces make; each begins where the last one ended or later."""
    data = bytearray()
    for piece in source.pieces():
        assert piece.start >= len(data)
        data += bytes(piece.start - len(data)) + (
            piece.data if piece.data is not None else bytes(piece.length)
        )
    return bytes(data)


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("has_map", [False, True])
def test_the_pieces_make_the_image(image, is_compressed, has_map):
    data = image.read_bytes()
    if has_map:
        image.with_suffix(".bmap").write_text(bmap_text(image))
    path = image
    if is_compressed:
        path = image.with_name("x.img.gz")
        path.write_bytes(gzip.compress(data, 1))

    source = open_source(path)

    assert joined(source) == data
    assert (source.map is not None) is has_map


def test_a_hole_is_zeros_that_are_not_read(image):
    assert any(piece.data is None and piece.length > 4 * MIB for piece in open_source(image).pieces())


def test_a_map_of_another_image_is_refused(image):
    image.with_suffix(".bmap").write_text(bmap_text(image))
    os.truncate(image, 7 * MIB)

    with pytest.raises(InputError, match="map of another image"):
        open_source(image)
    assert open_source(image, whole=True).map is None


def test_a_wrong_checksum_is_an_error_before_anything_is_written(image):
    image.with_name("x.img.sha256").write_text(f"{'0' * 64}  x.img\n")

    with pytest.raises(InputError, match="is damaged"):
        check_digest(open_source(image), lambda _: None)


@pytest.mark.parametrize("name", ["empty.img", "missing.img"])
def test_an_image_without_bytes_is_refused(tmp_path, name):
    (tmp_path / "empty.img").touch()

    with pytest.raises(PlanError):
        open_source(tmp_path / name)
