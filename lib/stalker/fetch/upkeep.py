"""The cache looked after: what the policy takes away, what is damaged, and what a crash left."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stalker.fetch.checksum import digests_of
from stalker.fetch.entry import Entry
from stalker.fetch.eviction import Eviction, evictions
from stalker.fetch.index import Change
from stalker.fetch.keeping import Keeper

PART_MAX_AGE_S = 14 * 86400.0
"""A download that nobody went on with for two weeks is given up."""

State = Literal["ok", "damaged", "missing", "found"]
"""`found`: content that no index knew of, after a crash or a lost index; it has an entry now."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of an entry when its content was read; one that is damaged or missing is dropped."""

    entry: Entry
    state: State
    details: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go; `in_use` had to stay because somebody reads it."""

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
    """Read all content and hold it against its digest; drop what is damaged or gone.

    The index is looked through first, and made again when it is broken.
    """
    if not (keeper.store.root / "content").is_dir() and not keeper.index.entries():
        return
    if keeper.index.check():
        keeper.say("the index was broken; it was made again from the files")
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
    """Bring the index in line with the files; return what it did not know of."""
    on_disk = list(keeper.store.scan())
    contents = {entry.sha256 for entry in on_disk}
    known = {entry.key: entry for entry in change.entries()}
    for entry in known.values():
        if entry.sha256 not in contents:
            change.remove(entry.key)
            keeper.store.forget_source(entry.key)
    of_content = {entry.sha256 for entry in known.values()}
    new = [one for one in on_disk if one.key not in known and _is_news(one, of_content)]
    for entry in new:
        change.put(entry)
    return new


def _is_news(entry: Entry, of_content: set[str]) -> bool:
    """Say whether an entry from the files tells anything: of a nameless one only its content does."""
    return not entry.source.startswith("sha256:") or entry.sha256 not in of_content


def _remove_part(path: Path) -> bool:
    """Remove a file of a download that was given up, unless one is under way."""
    name = path.name.lstrip(".").partition(".")[0]
    lock = path.parent.parent / "locks" / f".{name}.lock"
    with contextlib.ExitStack() as stack:
        if lock.exists():
            file = stack.enter_context(lock.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        path.unlink(missing_ok=True)
    return True


def _bytes_of(entries: list[Entry]) -> int:
    return sum({entry.sha256: entry.size_bytes for entry in entries}.values())
