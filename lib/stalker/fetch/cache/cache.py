"""The cache of downloads: what is asked for is there, fresh and verified, or it is fetched, once for all.

The policy says what is kept and for how long it is fresh without asking. What it does not keep is
fetched all the same and gone once it is closed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stalker.errors import InputError, NotGenuine
from stalker.fetch.cache.entries import Keeper
from stalker.fetch.cache.entry import Validators
from stalker.fetch.cache.policy_file import PolicyFile
from stalker.fetch.cache.request import Fetched, Request
from stalker.fetch.http.client import check_urls, new_client
from stalker.fetch.http.download import Order, Transfer
from stalker.fetch.http.partial_file import Partial
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.request import Answer, ask
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import cannot_write, file_name, local_path, locked, shown
from stalker.io.hashing import digests_of, wrong_digest
from stalker.io.progress import Lines, Say, Task

if TYPE_CHECKING:
    import httpx

OFFLINE_TIMEOUT_S = 10.0
"""How long a server may take to say whether it has something newer than what is there."""


class Cache:
    """The cache in the directory `root`; nothing is made or read there before something is asked for.

    Any number of threads and processes may use one directory at once. Close it, or use `with`.
    """

    def __init__(
        self,
        root: Path,
        *,
        policy: PolicyFile | None = None,
        say: Say = lambda _: None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keeper = Keeper(root, policy, say, clock)
        self.store = self.keeper.store
        self.say = say
        self._patience = patience or Patience()
        self._clients: dict[str, httpx.Client] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections to servers."""
        while self._clients:
            self._clients.popitem()[1].close()

    def get(
        self,
        wanted: Request,
        *,
        task: Task | None = None,
        stop: Stop | None = None,
    ) -> Fetched:
        """Return what is wanted as a file; close it when it has been used.

        `task` counts bytes as they come, else a line a second is printed; `stop` ends the waiting.

        Raises:
            InputError: it is not available, or is not what it must be.
        """
        local = local_path(wanted.source, Path()) if wanted.kind == "file" and not wanted.urls else None
        if local is not None:
            return _in_place(local, wanted)
        check_urls(wanted.servers)
        began_s = self.keeper.clock()
        ruling = self.keeper.policy.policy.ruling(wanted.kind, wanted.source)
        try:
            if not ruling.refusal and (there := self._find(wanted, began_s)):
                return there
            with self.alone(wanted, stop):
                if not ruling.refusal:
                    self.keeper.take_over(wanted)
                    if there := self._find(wanted, began_s):
                        return there
                return self._fetch(wanted, task, stop, is_kept=not ruling.refusal)
        except OSError as error:
            raise cannot_write(self.store.root, error) from error

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = 0,
        has_copy: bool = False,
        stop: Stop | None = None,
    ) -> Answer:
        """Ask a server something small, over the connections of the downloads; once if a copy does as well.

        Raises InputError.
        """
        check_urls([url])
        return ask(
            self._connected("questions"),
            method,
            url,
            headers=lambda: headers or {},
            most_bytes=most_bytes,
            patience=self._patience_with(has_copy=has_copy),
            stop=stop,
            say=self.say,
        )

    def _patience_with(self, *, has_copy: bool) -> Patience:
        """Return how long a server is waited for: with a copy at hand, an absent network costs seconds."""
        return Patience(0, OFFLINE_TIMEOUT_S, self._patience.pause) if has_copy else self._patience

    # For what is had in another way than from one URL, such as an image from a registry

    @contextlib.contextmanager
    def alone(self, wanted: Request, stop: Stop | None = None) -> Iterator[None]:
        """Hold the right to fetch a thing: others wait, and find it when this one is done."""
        with contextlib.ExitStack() as locks:
            name = file_name(wanted.source)
            # The digest comes before the source, so that no two wait for each other.
            if wanted.sha256:
                path = self.store.lock_path(("sha256", wanted.sha256.lower()))
                locks.enter_context(locked(path, self.say, name, stop))
            path = self.store.lock_path(wanted.key)
            locks.enter_context(locked(path, self.say, name, stop))
            yield

    def find(self, wanted: Request, told: Validators | None = None) -> Fetched | None:
        """Return what is there and fresh, verified; None when it has to come.

        `told` is the current answer of its origin: then that decides, and not the time since the last check.
        """
        if self.keeper.policy.policy.ruling(wanted.kind, wanted.source).refusal:
            return None
        now_s = self.keeper.clock()
        entry = self.keeper.index.get(wanted.key) if told else None
        if told is None or entry is None:
            return None if told else self._find(wanted, now_s)
        if not entry.validators.is_same(told):
            return None
        with self.keeper.lenient(), self.keeper.index.changing() as change:
            change.note_check(wanted.key, now_s)
        return self._find(replace(wanted, use="any"), now_s)

    def new_file(self) -> Path:
        """Return where a file can be made that is to be `put` here."""
        path = self.store.part_target(("", "")).with_name(f".passing-{uuid.uuid4().hex}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def put(self, wanted: Request, file: Path, told: Validators | None = None) -> Fetched:
        """Take a finished `new_file` for what is wanted; it is moved, or gone once closed.

        Raises:
            NotGenuine: it is not what it must be; it is removed.
        """
        digests = digests_of(file, wanted.checksums)
        if wrong := digests.wrong():
            file.unlink()
            raise wrong_digest(shown(wanted.source), *wrong)
        size_bytes = file.stat().st_size
        try:
            if not self.keeper.policy.policy.ruling(wanted.kind, wanted.source).refusal:
                since_s = self.keeper.clock()
                kept = self.keeper.keep(file, wanted, digests.sha256, told or Validators(), since_s=since_s)
                if kept:
                    return kept
        except OSError as error:
            raise cannot_write(self.store.root, error) from error
        return Fetched(file, digests.sha256, size_bytes, is_cached=False, passing=file)

    # What is there

    def _find(self, wanted: Request, began_s: float) -> Fetched | None:
        """Return what is there when it will do as it is."""
        if wanted.use == "again":
            return None
        entry = self.keeper.index.get(wanted.key)
        if wanted.sha256:
            sha256 = wanted.sha256.lower()
            if entry is None or entry.sha256 != sha256:
                entry = next(iter(self.keeper.index.with_content(sha256)), None)
        if entry is None or self.keeper.is_outlived(entry):
            return None
        if not wanted.sha256 and wanted.use == "policy" and not self.keeper.is_fresh(entry, began_s):
            return None
        held = self.keeper.hold(entry, wanted)
        return self.keeper.used(entry, held) if held else None

    # What has to come

    def _fetch(self, wanted: Request, task: Task | None, stop: Stop | None, *, is_kept: bool) -> Fetched:
        entry = self.keeper.index.get(wanted.key) if is_kept and wanted.use != "again" else None
        if entry is not None and (
            (wanted.sha256 and entry.sha256 != wanted.sha256.lower()) or self.keeper.is_outlived(entry)
        ):
            entry = None
        held = self.keeper.hold(entry, wanted) if entry else None
        target = self.store.part_target(wanted.key)
        # The note of a part holds its URL, which may hold credentials.
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = Partial(target, wanted.source)
        order = Order(
            wanted.servers,
            wanted.sha256,
            wanted.checksum,
            wanted.headers,
            entry.validators if entry and held else None,
        )
        self.say(f"{'checking' if held else 'downloading'} {shown(wanted.source)}")
        transfer = Transfer(
            order,
            part,
            say=self.say,
            task=task or Task(file_name(wanted.source), Lines(self.say)),
            patience=self._patience_with(has_copy=held is not None),
            stop=stop,
        )
        try:
            digest = transfer.run(self._connected())
        except InputError as error:
            if held is None or entry is None or isinstance(error, NotGenuine):
                if held is not None:
                    held.close()
                raise
            self.say(f"{error.brief}; the copy in the cache is used")
            return self.keeper.used(entry, held)
        except BaseException:
            if held is not None:
                held.close()
            raise
        if held is not None and entry is not None:
            if not digest:
                with self.keeper.lenient(), self.keeper.index.changing() as change:
                    change.note_check(entry.key, self.keeper.clock())
                return self.keeper.used(entry, held)
            held.close()
        told, size_bytes = part.validators, part.size_bytes
        if is_kept and (
            cached := self.keeper.keep(part.path, wanted, digest, told, since_s=self.keeper.clock())
        ):
            part.discard()
            return cached
        passing = self.new_file()
        part.publish(passing)
        return Fetched(passing, digest, size_bytes, is_cached=False, passing=passing)

    def _connected(self, to_what: str = "downloads") -> httpx.Client:
        # A stop ends connections that were made under it: downloads share none with what was asked before.
        with self._guard:
            if to_what not in self._clients:
                self._clients[to_what] = new_client(self._patience.timeout_s)
            return self._clients[to_what]


def _in_place(path: Path, wanted: Request) -> Fetched:
    """Verify a file of the user's own, which is used where it stands."""
    try:
        digests = digests_of(path, wanted.checksums)
        size_bytes = os.stat(path).st_size  # noqa: PTH116
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", str(error), "check the path") from error
    if wrong := digests.wrong():
        raise wrong_digest(str(path), *wrong)
    return Fetched(path, digests.sha256, size_bytes, is_cached=False)
