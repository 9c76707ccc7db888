"""What an earlier attempt left is continued only when it is safe."""

import json

import pytest

from stalker.fetch.cache.entry import Validators
from stalker.fetch.http.partial_file import Partial

URL = "http://a/x"


@pytest.fixture
def part(tmp_path):
    """A part with three of ten bytes."""
    part = Partial(tmp_path / "x", URL)
    part.begin(URL, Validators('"v"', "Mon", 10), 10)
    with part.open() as file:
        file.write(b"123")
    return part


def left(path):
    return sorted(one.name for one in path.iterdir())


def test_the_rest_is_asked_for_with_the_version(part, tmp_path):
    """The server sends all of it if the file is another one now."""
    again = Partial(tmp_path / "x", URL)

    assert again.request_headers() == {"Range": "bytes=3-", "If-Range": '"v"'}
    assert (again.size_bytes, again.total_bytes, again.is_glued) == (3, 10, True)


def test_another_mirror_is_asked_without_the_version(part):
    """If a digest says in the end whether the pieces fit."""
    assert part.request_headers("http://b/x", is_pinned=True) == {"Range": "bytes=3-"}


def test_what_belongs_to_another_source_is_removed(part, tmp_path):
    """As is what no note describes, or a note that is broken."""
    Partial(tmp_path / "x", "http://other")
    assert left(tmp_path) == []

    for text in ("", "{", "[]", json.dumps({"url": URL})):
        (tmp_path / ".x.part").write_text("123")
        (tmp_path / ".x.part.json").write_text(text)
        assert Partial(tmp_path / "x", URL).size_bytes == 0
        assert left(tmp_path) == []


@pytest.mark.parametrize(("validators", "is_kept"), [(Validators('"v"'), True), (Validators('W/"v"'), False)])
def test_only_what_can_be_continued_is_kept(tmp_path, validators, is_kept):
    """A weak version says nothing about bytes."""
    part = Partial(tmp_path / "x", URL)
    part.begin(URL, validators, None)
    part.path.write_bytes(b"123")

    assert part.keep_or_discard() is is_kept
    assert bool(left(tmp_path)) is is_kept


def test_a_finished_part_gets_its_name_and_leaves_no_note(part, tmp_path):
    """In place of what was there."""
    (tmp_path / "x").write_text("old")
    part.publish(tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"123"
    assert left(tmp_path) == ["x"]
