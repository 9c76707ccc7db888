"""Entries are files: each source has one, whole, and all of them are found by what they are of."""

import os
import threading

import pytest

from stalker.fetch.cache.entry import Entry, Validators
from stalker.fetch.cache.index import Index


def entry(source, sha256="a" * 64, **more):
    return Entry("file", source, sha256, 5, 1.0, 2.0, 3.0, **more)


def put(index, *entries):
    with index.changing() as change:
        for one in entries:
            change.put(one)


def test_an_entry_comes_back_as_it_was(tmp_path):
    """With what its server said of the version."""
    one = entry("http://x/é", used_count=7, validators=Validators('"v"', "Mon", 5, "b" * 64))
    put(Index(tmp_path), one)

    assert Index(tmp_path).get(one.key) == one


def test_entries_come_in_the_order_of_their_sources(tmp_path):
    """Whatever the directory says."""
    put(Index(tmp_path), entry("c"), entry("a"), entry("b"))

    assert [one.source for one in Index(tmp_path).entries()] == ["a", "b", "c"]


def test_entries_are_found_by_their_content(tmp_path):
    """Not those that only mention a digest."""
    put(Index(tmp_path), entry("one"), entry("two"), entry("http://x/" + "a" * 64, "b" * 64))

    assert {one.source for one in Index(tmp_path).with_content("a" * 64)} == {"one", "two"}


@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_change_sees_its_own_changes(tmp_path, is_read_before):
    """What was put or removed is so at once, for the others too."""
    index = Index(tmp_path)
    put(index, entry("old"))
    with index.changing() as change:
        if is_read_before:
            change.entries()
        change.put(entry("new"))
        change.remove(("file", "old"))
        change.note_use(("file", "new"), 9.0)
        change.note_check(("file", "new"), 8.0)
        change.note_use(("file", "none"), 9.0)

        assert change.get(("file", "old")) is None
        assert [(one.source, one.used_s, one.used_count, one.checked_s) for one in change.entries()] == [
            ("new", 9.0, 1, 8.0)
        ]
        assert len(change.with_content("a" * 64)) == 1
        assert index.entries() == change.entries()


def test_uses_from_many_threads_are_all_counted(tmp_path):
    """Each reads and writes alone."""
    index = Index(tmp_path)
    put(index, entry("x"))

    def use():
        for _ in range(10):
            with index.changing() as change:
                change.note_use(("file", "x"), 9.0)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert index.get(("file", "x")).used_count == 40


def test_an_empty_cache_has_no_entries_and_is_not_made(tmp_path):
    """Looking writes nothing."""
    index = Index(tmp_path / "none")

    assert (index.entries(), index.get(("file", "x")), index.with_content("a" * 64)) == ([], None, [])
    assert not (tmp_path / "none").exists()


def test_what_is_half_written_is_no_entry(tmp_path):
    """As a kill leaves it on a file system without unnamed files."""
    put(Index(tmp_path), entry("x"))
    (path,) = (tmp_path / "sources").iterdir()
    os.link(path, path.with_name(f".{path.name}.{'0' * 12}.part"))

    assert [one.source for one in Index(tmp_path).entries()] == ["x"]
