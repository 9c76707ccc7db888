"""Sparse files of a tar: as GNU tar stores them, and maps that do not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.errors import InputError
from stalker.formats.tar.header import new_header
from stalker.formats.tar.sparse import Extent, Sparse, filled, read_sparse, real_size


def sparse_header(size, records):
    """Return the header of a pax sparse file with `size` bytes stored."""
    return replace(new_header(b"x", b"0", mode=0o644, mtime_s=0), size=size, records=records)


def test_what_is_not_stored_is_zeros():
    """Before, between and after the parts, whatever pieces the data comes in."""
    sparse = Sparse(12, [Extent(2, 3), Extent(7, 2)], iter([b"ab", b"cde"]))

    assert b"".join(filled(sparse)) == b"\0\0abc\0\0de\0\0\0"


def test_data_that_ends_early_is_an_error():
    with pytest.raises(InputError, match="ends early"):
        list(filled(Sparse(4, [Extent(0, 4)], iter([b"ab"]))))


@pytest.mark.parametrize("text", [b"0,9", b"4,2,2,2", b"0,2,x", b"0,1", b"0", b"9,4"])
def test_a_map_that_does_not_fit_is_refused(text):
    """A part outside the file, parts in the wrong order, less or more than is stored."""
    records = {b"GNU.sparse.realsize": b"8", b"GNU.sparse.map": text}

    with pytest.raises(InputError):
        read_sparse(sparse_header(4, records), iter([b"abcd"]))


def test_a_map_that_fits_gives_the_file():
    records = {b"GNU.sparse.size": b"8", b"GNU.sparse.map": b"1,2,5,2"}
    header = sparse_header(4, records)

    assert real_size(header) == 8
    assert b"".join(filled(read_sparse(header, iter([b"abcd"])))) == b"\0ab\0\0cd\0"
