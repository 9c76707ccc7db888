"""Entries and their content are kept and dropped together."""

import hashlib
import os

import pytest

from stalker.fetch.cache.entries import Keeper
from stalker.fetch.cache.entry import Validators
from stalker.fetch.cache.policy_file import parse_policy
from stalker.fetch.cache.request import Request

BODY = b"content"
SHA = hashlib.sha256(BODY).hexdigest()
DAY_S = 86400.0


class Clock:
    now_s = 1e9

    def __call__(self):
        return self.now_s


@pytest.fixture
def keeper(tmp_path):
    said = []
    keeper = Keeper(tmp_path, parse_policy("check_after: 1d\nmax_age: 9d\n", "p"), said.append, Clock())
    keeper.said = said
    return keeper


def keep(keeper, source="http://a/x", **more):
    file = keeper.store.root / "new"
    file.write_bytes(BODY)
    return keeper.keep(file, Request(source, **more), SHA, Validators(), since_s=keeper.clock.now_s)


def test_what_is_kept_is_peeked_at_while_it_is_fresh(keeper):
    """After that only if any age will do, and not once it is outlived."""
    keep(keeper).close()
    keeper.peek(Request("http://a/x")).close()
    keeper.clock.now_s += 2 * DAY_S
    assert keeper.peek(Request("http://a/x")) is None
    keeper.peek(Request("http://a/x"), is_stale_too=True).close()
    keeper.peek(Request("http://other", sha256=SHA)).close()
    keeper.clock.now_s += 9 * DAY_S

    assert keeper.peek(Request("http://a/x"), is_stale_too=True) is None


def test_content_goes_with_its_last_entry(keeper):
    """Not while it is held."""
    keep(keeper).close()
    held = keep(keeper, "http://b/x")
    keeper.forget(("file", "http://a/x"))
    keeper.forget(("file", "http://b/x"))
    assert [entry.source for entry in keeper.index.entries()] == ["http://b/x"]
    held.close()
    keeper.forget(("file", "http://b/x"))

    assert keeper.index.entries() == []
    assert not keeper.store.content_path(SHA).exists()


def test_damaged_content_is_dropped_with_all_its_entries(keeper):
    """And the user is informed."""
    keep(keeper).close()
    keep(keeper, "http://b/x").close()
    path = keeper.store.content_path(SHA)
    path.chmod(0o644)
    path.write_bytes(b"CONTENT")

    assert keeper.hold(keeper.index.get(("file", "http://a/x")), Request("http://a/x")) is None
    assert keeper.index.entries() == []
    assert "damaged" in keeper.said[0]


def test_a_use_is_counted(keeper):
    """With its time: eviction goes by both."""
    keep(keeper).close()
    keeper.clock.now_s += 60
    entry = keeper.index.get(("file", "http://a/x"))
    keeper.used(entry, keeper.store.hold(SHA)).close()

    again = keeper.index.get(entry.key)
    assert (again.used_count, again.used_s) == (entry.used_count + 1, keeper.clock.now_s)


def test_a_disk_that_takes_no_note_costs_the_note_alone(keeper, monkeypatch):
    """What was fetched is as good without it."""
    keep(keeper).close()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    entry = keeper.index.get(("file", "http://a/x"))
    with keeper.used(entry, keeper.store.hold(SHA)) as file:
        assert file.path.read_bytes() == BODY

    assert keeper.said == ["the cache could not note it: No space left on device"]
    assert keeper.index.get(entry.key) == entry
