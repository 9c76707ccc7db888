import os

import pytest

from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.maintenance import PART_MAX_AGE_S, prune, verify
from stalker.fetch.cache.policy_file import parse_policy
from stalker.fetch.cache.request import Request
from unit.helpers.server import serving

FILES = {"a": b"a" * 100, "b": b"b" * 200, "c": b"c" * 300}


@pytest.fixture
def filled(tmp_path):
    """A cache with a, b and c, used in this order."""
    now = [1_800_000_000.0]
    cache = Cache(tmp_path, clock=lambda: now[0])
    with serving(**FILES) as served, cache:
        for name in FILES:
            now[0] += 1
            with cache.get(Request(f"{served.url}/{name}")):
                pass
    return cache.keeper


def under(keeper, policy):
    return Cache(keeper.store.root, policy=parse_policy(policy, "p"), clock=keeper.clock).keeper


def names(keeper):
    return sorted(entry.source[-1] for entry in keeper.index.entries())


def path_of(keeper, name):
    entry = next(one for one in keeper.index.entries() if one.source.endswith(name))
    return keeper.store.content_path(entry.sha256)


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_says_what_would_go_and_touches_nothing(filled):
    """The same that then goes."""
    before = tree(filled.store.root)
    keeper = under(filled, "max_size: 450\n")
    would = prune(keeper, is_dry=True)

    assert [one.entry.source[-1] for one in would.evicted] == ["a", "b"]
    assert would.freed_bytes == 300
    assert {path: time for path, time in tree(filled.store.root).items() if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }
    assert prune(keeper).evicted == would.evicted
    assert names(filled) == ["c"]
    assert prune(keeper).evicted == ()


def test_each_strategy_evicts_the_named_entry(filled):
    """From policy to disk."""
    for strategy, name in (
        ("oldest", "a"),
        ("newest", "c"),
        ("largest", "c"),
        ("smallest", "a"),
        ("lru", "a"),
    ):
        (one,) = prune(under(filled, f"max_num: 2\neviction: {strategy}\n"), is_dry=True).evicted
        assert one.entry.source[-1] == name


def test_an_empty_folder_is_left_empty(tmp_path):
    """Nothing is made by looking."""
    keeper = Cache(tmp_path / "none").keeper

    assert prune(keeper).freed_bytes == 0
    assert list(verify(keeper)) == []
    assert not (tmp_path / "none").exists()


def test_what_is_damaged_or_gone_is_dropped(filled):
    """Each with its state, both digests where it is damaged."""
    path = path_of(filled, "a")
    path.chmod(0o644)
    path.write_bytes(b"x" * 100)
    path_of(filled, "b").unlink()
    found = {one.entry.source[-1]: one for one in verify(filled)}

    assert {name: one.state for name, one in found.items()} == {"a": "damaged", "c": "ok"}
    assert path.name in found["a"].details
    assert names(filled) == ["c"]
    assert not path.exists()
    assert {one.state for one in verify(filled)} == {"ok"}


def test_two_sources_of_one_content_are_dropped_together(filled):
    """Both say so."""
    from dataclasses import replace

    entry = next(one for one in filled.index.entries() if one.source.endswith("a"))
    with filled.index.changing() as change:
        change.put(replace(entry, source="http://other/a"))
    path = path_of(filled, "a")
    path.chmod(0o644)
    path.write_bytes(b"")

    assert sorted(one.state for one in verify(filled)) == ["damaged", "damaged", "ok", "ok"]
    assert names(filled) == ["b", "c"]


def test_content_stays_while_another_source_has_it(filled):
    """Only the last entry takes it along."""
    from dataclasses import replace

    entry = next(one for one in filled.index.entries() if one.source.endswith("a"))
    with filled.index.changing() as change:
        change.put(replace(entry, source="http://other/a"))
    filled.forget(entry.key)

    assert path_of(filled, "a").exists()
    assert names(filled) == ["a", "b", "c"]


def test_downloads_that_were_given_up_go_after_two_weeks(filled):
    """Not those that are under way, whatever their age."""
    import fcntl

    parts = filled.store.root / "parts"
    old, young, busy = (parts / f".{digit * 64}.part" for digit in "123")
    for path, age_s in ((old, PART_MAX_AGE_S + 1), (young, PART_MAX_AGE_S - 60), (busy, PART_MAX_AGE_S + 1)):
        path.write_bytes(b"12345")
        os.utime(path, (filled.clock() - age_s,) * 2)
    with (filled.store.root / "locks" / f".{'3' * 64}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = prune(filled)

    assert done.parts == (old,)
    assert done.freed_bytes == 5
    assert [path.exists() for path in (old, young, busy)] == [False, True, True]
