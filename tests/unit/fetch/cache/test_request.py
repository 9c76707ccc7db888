"""What is asked of the cache, and a file that it gives until it is closed."""

import hashlib

import pytest

from stalker.errors import NotGenuine
from stalker.fetch.cache.request import Fetched, Request
from stalker.io.hashing import Checksum

BODY = b"x" * 3_000_000
SHA = hashlib.sha256(BODY).hexdigest()


def test_servers_come_once_each_with_the_mirrors_last():
    """The source is its own URL unless others are given."""
    assert Request("http://a", mirrors=("http://b", "http://a")).servers == ("http://a", "http://b")
    assert Request("name", urls=("http://c",), mirrors=("http://b",)).servers == ("http://c", "http://b")


def test_all_checksums_are_compared():
    """The digest that names the content, and the one of another kind."""
    other = Checksum("md5", "0" * 32)

    assert Request("x", sha256=SHA.upper(), checksum=other).checksums == (Checksum("sha256", SHA), other)
    assert Request("x").checksums == ()


def test_a_file_is_read_in_pieces_and_checked_at_the_end(tmp_path):
    """One that changed meanwhile is noticed after the last piece."""
    path = tmp_path / "x"
    path.write_bytes(BODY)
    assert b"".join(Fetched(path, SHA, len(BODY), is_cached=False).chunks()) == BODY
    path.write_bytes(BODY[:-1] + b"y")

    with pytest.raises(NotGenuine, match="changed while it was read"):
        list(Fetched(path, SHA, len(BODY), is_cached=False).chunks())


def test_a_temporary_file_is_gone_once_it_is_closed(tmp_path):
    """The user's own file stays."""
    for name in ("own", "temporary"):
        (tmp_path / name).touch()
    with Fetched(tmp_path / "own", SHA, 0, is_cached=False):
        pass
    with Fetched(tmp_path / "temporary", SHA, 0, is_cached=False, passing=tmp_path / "temporary") as file:
        file.close()

    assert [path.name for path in tmp_path.iterdir()] == ["own"]
