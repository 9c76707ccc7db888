"""The entries of the cache and their content: found, verified, kept and dropped together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from stalker.fetch.cache.entry import Entry, Key, Validators
from stalker.fetch.cache.eviction import evictions
from stalker.fetch.cache.index import Change, Index
from stalker.fetch.cache.policy_file import FILE_NAME, PolicyFile, load_policy
from stalker.fetch.cache.request import Fetched, Request
from stalker.fetch.cache.store import Held, Store
from stalker.fetch.urls import file_name, old_path
from stalker.io.hashing import digests_of
from stalker.io.progress import Say


class Keeper:
    """The entries of the cache in the directory `root`, under its policy."""

    def __init__(self, root: Path, policy: PolicyFile | None, say: Say, clock: Callable[[], float]) -> None:
        self.store = Store(root)
        self.index = Index(root)
        self.say = say
        self.clock = clock
        self._policy = policy

    @property
    def policy(self) -> PolicyFile:
        """The policy of its directory. Raises FilesError."""
        if self._policy is None:
            self._policy = load_policy(self.store.root / FILE_NAME)
        return self._policy

    def has(self, source: str, sha256: str = "") -> bool:
        """Return whether a URL, or its content from elsewhere, is there, fresh or not; nothing is verified."""
        if sha256 and self.store.content_path(sha256.lower()).is_file():
            return True
        if self.index.get(("file", source)) is not None:
            return True
        return old_path(self.store.root, source).is_file()

    def forget(self, key: Key) -> None:
        """Drop a source, and its content if no other one has it."""
        old = old_path(self.store.root, key[1])
        if key[0] == "file" and old.is_file():
            old.unlink()
        if self.index.get(key) is None:
            return
        with self.index.changing() as change:
            entry = change.get(key)
            if entry is not None:
                self.drop(change, entry)

    def is_outlived(self, entry: Entry) -> bool:
        """Return whether the policy lets it live no longer."""
        ruling = self.policy.policy.ruling(entry.kind, entry.source)
        return bool(ruling.outlived(self.clock() - entry.added_s))

    def is_fresh(self, entry: Entry, began_s: float) -> bool:
        """Return whether no request is needed: recently checked, or by another process while this one waited."""
        if entry.checked_s >= began_s:
            return True
        ruling = self.policy.policy.ruling(entry.kind, entry.source)
        return 0 <= self.clock() - entry.checked_s < ruling.check_after_s

    def peek(self, wanted: Request, *, is_stale_too: bool = False) -> Held | None:
        """Hold what would be taken without asking anybody, unverified; or, if said so, whatever its age."""
        if self.policy.policy.ruling(wanted.kind, wanted.source).refusal:
            return None
        sha256 = wanted.sha256.lower()
        entry = self.index.get(wanted.key)
        if sha256 and (entry is None or entry.sha256 != sha256):
            entry = next(iter(self.index.with_content(sha256)), None)
        if entry is None or self.is_outlived(entry):
            return None
        if not sha256 and not is_stale_too and not self.is_fresh(entry, self.clock()):
            return None
        return self.store.hold(entry.sha256)

    def hold(self, entry: Entry, wanted: Request) -> Held | None:
        """Hold an entry's content once it is verified; what is damaged is dropped."""
        held = self.store.hold(entry.sha256)
        try:
            digests = digests_of(held.path, wanted.checksums) if held else None
        except FileNotFoundError:
            digests = None
        except OSError as error:
            self.say(f"{file_name(entry.source)} in the cache cannot be read: {error.strerror}")
            if held:
                held.close()
            return None
        if held and digests and digests.sha256 == entry.sha256:
            if digests.wrong() is None:
                return held
            held.close()
            return None
        if held is not None:
            self.say(f"{file_name(entry.source)} in the cache is damaged, fetching it again")
        with self.lenient(), self.index.changing() as change:
            # Another one may have fetched it again since.
            if held is not None or not self.store.content_path(entry.sha256).exists():
                for one in change.with_content(entry.sha256):
                    self.drop(change, one, damaged=held)
        if held is not None:
            held.close()
        return None

    def used(self, entry: Entry, held: Held) -> Fetched:
        """Give out held content and count the use."""
        now_s = self.clock()
        with self.lenient(), self.index.changing() as change:
            change.note_use(entry.key, now_s)
        return Fetched(held.path, entry.sha256, held.size_bytes, is_cached=True, held=held)

    def drop(self, change: Change, entry: Entry, *, damaged: Held | None = None) -> bool:
        """Remove an entry, and its content with the last one; False when it is being read."""
        if len(change.with_content(entry.sha256)) == 1 and not self.store.remove_content(
            entry.sha256, only=damaged
        ):
            return False
        change.remove(entry.key)
        return True

    def take_over(self, wanted: Request) -> None:
        """Take what no entry tells of: content that a crash left, a download of before the index."""
        if wanted.sha256 and wanted.use != "again":
            self._take_content(wanted, wanted.sha256.lower())
        old = old_path(self.store.root, wanted.source)
        if wanted.kind != "file" or wanted.use == "again" or not old.is_file():
            return
        if self.index.get(wanted.key) is None:
            digests = digests_of(old, wanted.checksums)
            kept = None
            if digests.wrong() is None:
                kept = self.keep(old, wanted, digests.sha256, Validators(), since_s=old.stat().st_mtime)
            if kept:
                kept.close()

    def _take_content(self, wanted: Request, sha256: str) -> None:
        path = self.store.content_path(sha256)
        if not path.is_file() or self.index.with_content(sha256):
            return
        now_s = self.clock()
        with self.lenient(), self.index.changing() as change:
            entry = Entry(wanted.kind, wanted.source, sha256, path.stat().st_size, now_s, now_s, now_s)
            change.put(entry)

    def keep(
        self, file: Path, wanted: Request, sha256: str, told: Validators, *, since_s: float
    ) -> Fetched | None:
        """Move a finished file into the cache and make room by the policy; None when it has no place there.

        `since_s` is when its server gave it.
        Trouble with the index or the disk costs the place in the cache, not the download.
        """
        now_s = self.clock()
        entry = Entry(
            wanted.kind, wanted.source, sha256, file.stat().st_size, since_s, since_s, now_s, 1, told
        )
        held: Held | None = None
        self.store.sync(file)
        with self.lenient(), self.index.changing() as change:
            others = [one for one in change.entries() if one.key != entry.key]
            going = evictions([*others, entry], self.policy.policy, now_s)
            mine = next((one.reason for one in going if one.entry.key == entry.key), "")
            if mine:
                self.say(f"{file_name(wanted.source)} is not kept in the cache: {mine}")
                return None
            before = change.get(entry.key)
            if before is not None and before.sha256 != sha256:
                self.drop(change, before)
            self.store.publish(file, sha256)
            held = self.store.hold(sha256)
            change.put(entry)
            for one in going:
                if self.drop(change, one.entry):
                    self.say(f"{file_name(one.entry.source)} left the cache: {one.reason}")
        if held is None:
            return None
        return Fetched(held.path, sha256, entry.size_bytes, is_cached=True, held=held)

    @contextlib.contextmanager
    def lenient(self) -> Iterator[None]:
        """Go on where the disk does not take a note: what was fetched is as good without it."""
        try:
            yield
        except OSError as error:
            self.say(f"the cache could not note it: {error.strerror or error}")
