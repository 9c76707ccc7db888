"""The cache looked after: what the policy takes away, what is damaged, and what a crash left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stalker.fetch.cache.entries import Keeper
from stalker.fetch.cache.entry import Entry
from stalker.fetch.cache.eviction import Eviction, evictions
from stalker.fetch.cache.index import Change
from stalker.io.hashing import digests_of
from stalker.io.locks import try_lock

PART_MAX_AGE_S = 14 * 86400.0
"""A download that was not continued for two weeks is given up."""

State = Literal["ok", "damaged", "missing", "found"]
"""`found`: content without an entry, after a crash or when its entry was damaged; it has one now."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of an entry when its content was read; one that is damaged or missing is dropped."""

    entry: Entry
    state: State
    details: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go; `in_use` had to stay because it is being read."""

    evicted: tuple[Eviction, ...]
    in_use: tuple[Eviction, ...]
    parts: tuple[Path, ...]
    freed_bytes: int


def prune(keeper: Keeper, *, is_dry: bool = False) -> Pruned:
    """Remove what the policy does not keep, and downloads that were given up.

    Only what the cache made itself is looked at. With `is_dry` nothing is touched.
    """
    now_s = keeper.clock()
    policy = keeper.policy.policy
    stale = [
        (path, stat.st_size) for path, stat in keeper.store.parts() if now_s - stat.st_mtime > PART_MAX_AGE_S
    ]
    if is_dry:
        entries = keeper.index.entries()
        going = evictions(entries, policy, now_s)
        gone = {one.entry.key for one in going}
        freed = _bytes_of(entries) - _bytes_of([one for one in entries if one.key not in gone])
        return Pruned(going, (), tuple(path for path, _ in stale), freed + sum(size for _, size in stale))
    evicted: list[Eviction] = []
    in_use: list[Eviction] = []
    if (keeper.store.root / "content").is_dir():
        with keeper.index.changing() as change:
            _reconcile(keeper, change)
            before = _bytes_of(change.entries())
            for one in evictions(change.entries(), policy, now_s):
                (evicted if keeper.drop(change, one.entry) else in_use).append(one)
            freed = before - _bytes_of(change.entries())
    else:
        freed = 0
    parts = [(path, size) for path, size in stale if _remove_part(path)]
    return Pruned(
        tuple(evicted),
        tuple(in_use),
        tuple(path for path, _ in parts),
        freed + sum(size for _, size in parts),
    )


def verify(keeper: Keeper) -> Iterator[Verified]:
    """Read all content and compare it with its digest; drop what is damaged or missing."""
    if not (keeper.store.root / "content").is_dir() and not keeper.index.entries():
        return
    with keeper.index.changing() as change:
        found = _reconcile(keeper, change)
    for entry in found:
        yield Verified(entry, "found")
    states: dict[str, tuple[State, str]] = {}
    for entry in keeper.index.entries():
        if entry.sha256 not in states:
            states[entry.sha256] = _verify_content(keeper, entry)
        state, details = states[entry.sha256]
        yield Verified(entry, state, details)


def _verify_content(keeper: Keeper, entry: Entry) -> tuple[State, str]:
    """Return the state of one content; drop all entries that have it unless it is right."""
    held = keeper.store.hold(entry.sha256)
    with contextlib.ExitStack() as stack:
        details = ""
        if held is not None:
            stack.callback(held.close)
            try:
                found = digests_of(held.path).sha256
            except OSError as error:
                found = f"cannot be read: {error.strerror}"
            if found == entry.sha256:
                return "ok", ""
            details = f"expected {entry.sha256}\nfound    {found}"
        with keeper.index.changing() as change:
            for one in change.with_content(entry.sha256):
                keeper.drop(change, one, damaged=held)
    return ("damaged", details) if held else ("missing", "")


def _reconcile(keeper: Keeper, change: Change) -> list[Entry]:
    """Drop entries without content, and return new ones for content without an entry: what a crash left."""
    contents = dict(keeper.store.contents())
    known = change.entries()
    for entry in known:
        if entry.sha256 not in contents:
            change.remove(entry.key)
    sourced = {entry.sha256 for entry in known}
    new = []
    for sha256, content in contents.items():
        if sha256 not in sourced:
            at_s = content.st_mtime
            new.append(Entry("file", f"sha256:{sha256}", sha256, content.st_size, at_s, at_s, at_s))
            change.put(new[-1])
    return new


def _remove_part(path: Path) -> bool:
    """Remove a file of a download that was given up, unless one is under way."""
    name = path.name.lstrip(".").partition(".")[0]
    lock = path.parent.parent / "locks" / f".{name}.lock"
    with contextlib.ExitStack() as stack:
        if lock.exists():
            file = stack.enter_context(lock.open("rb"))
            if not try_lock(file):
                return False
        path.unlink(missing_ok=True)
    return True


def _bytes_of(entries: list[Entry]) -> int:
    return sum({entry.sha256: entry.size_bytes for entry in entries}.values())
