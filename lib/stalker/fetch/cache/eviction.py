"""What has to go from the cache: entries, a policy and the time decide, and nothing else."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from stalker.fetch.cache.entry import Entry, Key
from stalker.fetch.cache.policy import Policy, Ruling, Scope

_ZIM = re.compile(r"(?P<ident>.+)_(?P<version>\d{4}-\d{2})\.zim\Z")
_TAGGED = re.compile(r"(?P<ident>.+):(?P<version>[^:/]+)\Z")

_FIRST_TO_GO: dict[str, Callable[[Entry], float]] = {
    "oldest": lambda entry: entry.added_s,
    "newest": lambda entry: -entry.added_s,
    "largest": lambda entry: -entry.size_bytes,
    "smallest": lambda entry: entry.size_bytes,
    "lru": lambda entry: entry.used_s,
}


@dataclass(frozen=True, slots=True)
class Eviction:
    """An entry that has to go, and why, in words."""

    entry: Entry
    reason: str


def evictions(entries: Iterable[Entry], policy: Policy, now_s: float) -> tuple[Eviction, ...]:
    """Return what has to go, each entry once, in the order in which it is decided.

    First what is not to be cached at all, then what is too old, then versions that newer ones have
    replaced; then each level in turn, filters before sections before the whole, loses what is past its
    limits by its own strategy. An entry that is larger than a whole limit goes before any other, since
    nothing else could make room for it. Entries of the same content count once for sizes.
    A policy that switches the cache off takes nothing away.
    """
    if not policy.enabled:
        return ()
    known = sorted(entries, key=lambda entry: (entry.used_s, entry.added_s, entry.key))
    rulings = {entry.key: policy.ruling(entry.kind, entry.source) for entry in known}
    gone: dict[Key, Eviction] = {}

    def drop(entry: Entry, reason: str) -> None:
        gone.setdefault(entry.key, Eviction(entry, reason))

    def left() -> list[Entry]:
        return [entry for entry in known if entry.key not in gone]

    for entry in known:
        ruling = rulings[entry.key]
        if ruling.refusal:
            drop(entry, ruling.refusal)
        elif outlived := ruling.outlived(now_s - entry.added_s):
            drop(entry, f"older than {outlived} allows")
    for entry, reason in _replaced(left(), rulings):
        drop(entry, reason)
    for scope in policy.scopes():
        members = [entry for entry in left() if _is_in(scope, rulings[entry.key])]
        for entry, reason in _past(members, scope):
            drop(entry, reason)
    return tuple(gone.values())


def identify(entry: Entry) -> tuple[str, str] | None:
    """Return name and version of an identified version: `name:tag`, `name_2024-05.zim`; else None."""
    if entry.kind == "image":
        found = _TAGGED.fullmatch(entry.source.partition("@")[0])
    else:
        found = _ZIM.fullmatch(re.split(r"[?#]", entry.source)[0])
    return (found["ident"], found["version"]) if found else None


def _replaced(entries: Sequence[Entry], rulings: dict[Key, Ruling]) -> Iterator[tuple[Entry, str]]:
    groups: dict[tuple[str, str, str], list[tuple[str, Entry]]] = defaultdict(list)
    for entry in entries:
        scope, count = rulings[entry.key].kept_versions
        named = identify(entry)
        if count and named:
            groups[scope, entry.kind, named[0]].append((named[1], entry))
    for members in groups.values():
        scope, count = rulings[members[0][1].key].kept_versions
        versions = sorted({version for version, _ in members}, key=_natural)
        obsolete = frozenset(versions[:-count])
        for version, entry in members:
            if version in obsolete:
                key = Scope(scope, rulings[entry.key].scopes[0].limits).key("keep_identified_versions")
                yield entry, f"a version that newer ones replace ({key}: {count})"


def _natural(version: str) -> list[tuple[int, int, str]]:
    """Return a key that puts 1.10 after 1.9."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", version)
        if part
    ]


def _is_in(scope: Scope, ruling: Ruling) -> bool:
    return any(one.name == scope.name for one in ruling.scopes)


def _past(entries: Sequence[Entry], scope: Scope) -> Iterator[tuple[Entry, str]]:
    """Give what is past the limits of one level."""
    most_bytes, most = scope.limits.max_size_bytes or 0, scope.limits.max_num or 0
    queue = sorted(entries, key=_FIRST_TO_GO[scope.limits.eviction])
    if most_bytes:
        queue.sort(key=lambda entry: entry.size_bytes <= most_bytes)
    holders = Counter(entry.sha256 for entry in queue)
    total_bytes = sum({entry.sha256: entry.size_bytes for entry in queue}.values())
    count = len(queue)
    for entry in queue:
        if most_bytes and total_bytes > most_bytes:
            how = "alone is more" if entry.size_bytes > most_bytes else f"{scope.limits.eviction} first"
            reason = f"past {scope.key('max_size')} ({how})"
        elif most and count > most:
            reason = f"past {scope.key('max_num')} ({scope.limits.eviction} first)"
        else:
            return
        yield entry, reason
        count -= 1
        holders[entry.sha256] -= 1
        if not holders[entry.sha256]:
            total_bytes -= entry.size_bytes
