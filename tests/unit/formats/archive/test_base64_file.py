"""Files in base64, decoded as a stream."""

from __future__ import annotations

import base64
import os

import pytest

from stalker.errors import InputError
from stalker.formats.archive.base64_file import decoded
from stalker.io.compression.reader import PIECE_BYTES


def content(tmp_path, letters):
    path = tmp_path / "x.b64"
    path.write_bytes(letters)
    return b"".join(decoded(path, "x.b64"))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100 - 1, PIECE_BYTES + 2])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_what_was_encoded_comes_back(tmp_path, size, encode):
    """With and without lines, over the border of a piece too."""
    data = os.urandom(size)

    assert content(tmp_path, encode(data)) == data


@pytest.mark.parametrize("letters", [b"AAA", b"A", b"AA=A", b"AAA=AAAA", b"A-_A", b"AAA=\nB"])
def test_what_is_damaged_is_refused(tmp_path, letters):
    """Cut, with other letters, or with something after its end."""
    with pytest.raises(InputError, match=r"x\.b64 is not base64"):
        content(tmp_path, letters)
