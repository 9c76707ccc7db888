"""Checksums as publishers state them."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from stalker.errors import InputError
from stalker.io.hashing import ALGORITHMS, EMPTY_SHA256, Checksum, Digests, digests_of, wrong_digest

DATA = b"content" * 1000


def value_of(name, data=DATA):
    return f"{zlib.adler32(data):08x}" if name == "adler32" else hashlib.new(name, data).hexdigest()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_kind_is_checked_in_one_pass(tmp_path, name):
    """A wrong one is returned with what was found."""
    path = tmp_path / "x"
    path.write_bytes(DATA)
    right = Checksum.of(name, value_of(name))
    wrong = Checksum.of(name, value_of(name, b"other"))

    assert digests_of(path, [right]).wrong() is None
    assert digests_of(path, [right, wrong]).wrong() == (wrong, right.value)
    assert digests_of(path).sha256 == value_of("sha256")


def test_pieces_are_one_content():
    digests = Digests([Checksum.of("adler32", value_of("adler32"))])
    for at in range(0, len(DATA), 999):
        digests.update(DATA[at : at + 999])

    assert digests.wrong() is None
    assert Digests().sha256 == EMPTY_SHA256


def test_a_checksum_is_read_as_it_is_written():
    """Dashes, case and blanks do not count."""
    assert Checksum.of(" SHA-256", EMPTY_SHA256.upper() + "\n") == Checksum("sha256", EMPTY_SHA256)


@pytest.mark.parametrize(
    ("name", "value"), [("crc32", "0" * 8), ("sha256", "0" * 63), ("md5", "g" * 32), ("", "")]
)
def test_an_invalid_checksum_is_refused(name, value):
    with pytest.raises(InputError):
        Checksum.of(name, value)


def test_the_error_shows_both_digests():
    """And which publisher stated the one that was expected."""
    error = wrong_digest("x", Checksum("md5", "0" * 32), "1" * 32, by="server")

    assert "another md5 than its server says" in error.brief
    assert "0" * 32 in error.details
    assert "1" * 32 in error.details
