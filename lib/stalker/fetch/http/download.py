"""One download over HTTP, from one server or several: attempts, continuations, and the verdict at the end.

The order of a transfer: what to get, from where, and how long to try.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import InputError, Interrupted, NoRoom, NotGenuine, NotReached
from stalker.fetch.cache.entry import Validators
from stalker.fetch.http.client import host_of
from stalker.fetch.http.exchange import Refused, exchange
from stalker.fetch.http.headers import TRANSIENT, retry_after_s, sent_range, validators_of
from stalker.fetch.http.partial_file import Partial
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import file_name, shown
from stalker.io.hashing import EMPTY_SHA256, Checksum, digests_of, wrong_digest
from stalker.io.progress import Say, Silent, Task

if TYPE_CHECKING:
    import httpx


class _TryAgain(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class _Unchanged(Exception):
    """The server has nothing newer than what is known."""


class Transfer:
    """Fills a part until it is whole and right."""

    def __init__(
        self,
        order: Order,
        part: Partial,
        *,
        say: Say = lambda _: None,
        task: Task | None = None,
        patience: Patience | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._order = order
        self._part = part
        self._say = say
        self._task = task or Task(file_name(order.urls[0]), Silent())
        self._patience = patience or Patience()
        self._stop = stop or Stop()
        self._urls = list(order.urls)
        self._refusals: list[InputError] = []
        self._is_mended = False

    def run(self, client: httpx.Client) -> str:
        """Get all of it into the part and return its SHA-256; empty when `known` is still current.

        A mirror that refuses, or whose content is not what it must be, is given up for the next one.

        Raises:
            NotGenuine: what came is not what it must be; nothing of it is kept.
            NotReached: no server sent all of it; what came is kept if it can be continued.
            InputError: it is not available; nothing of it is kept.
        """
        while True:
            try:
                self._gather(client)
                return self._verified()
            except _Unchanged:
                self._part.discard()
                return ""
            except (NotReached, NoRoom):
                raise
            except InputError as error:
                self._refusals.append(error)
                if not self._urls:
                    self._part.discard()  # of what one server has begun, no server has the rest
                    raise self._verdict() from error.__cause__
                self._say(f"{error.brief}; trying {shown(self._urls[0])}")

    @property
    def _is_pinned(self) -> bool:
        """Return whether a digest tells in the end if pieces from several servers fit together."""
        return bool(self._order.sha256 or self._part.validators.sha256)

    def _verified(self) -> str:
        """Return the digest of the part, or throw it away and raise NotGenuine."""
        part, order = self._part, self._order
        if not part.size_bytes and self._order.sha256.lower() != EMPTY_SHA256:
            part.discard()
            raise InputError(
                f"{shown(self._urls.pop(0))} is empty",
                "the server sent 0 bytes",
                "check the URL; nothing was kept",
            )
        told = part.validators.sha256
        by_server = (Checksum("sha256", told),) if told and not order.checksums else ()
        digests = digests_of(part.path, (*order.checksums, *by_server))
        wrong = digests.wrong()
        if wrong is None:
            return digests.sha256
        was_glued = part.is_glued
        part.discard()
        what, found = wrong
        error = wrong_digest(shown(self._urls[0]), what, found, by="server" if by_server else "tree")
        if was_glued and not self._is_mended:
            # The pieces may have been of several versions under one validator: whole, it may be right.
            self._is_mended = True
        else:
            del self._urls[0]
        raise error

    def _verdict(self) -> InputError:
        """Return the error that says what became of each mirror."""
        first, *more = self._refusals
        worst = next((one for one in self._refusals if isinstance(one, NotGenuine)), first)
        if not more or len(self._order.urls) == 1:
            return self._refusals[-1]
        details = "\n".join(f"{one.brief}: {one.details}" for one in self._refusals)
        return type(worst)(worst.brief, details, worst.resolution)

    def _gather(self, client: httpx.Client) -> None:
        """Repeat attempts until the part is whole, by turns where there are several servers."""
        most_bytes, failures = self._part.size_bytes, 0
        while True:
            url = self._urls[0]
            try:
                self._attempt(client, url)
                return
            except _TryAgain as trouble:
                self._check_stop()
                if self._part.size_bytes > most_bytes:
                    most_bytes, failures = self._part.size_bytes, 0
                failures += 1
                rounds, turn = divmod(failures - 1, len(self._urls))
                if rounds >= self._patience.retries and turn == len(self._urls) - 1:
                    raise self._unreached(trouble, failures) from trouble
                self._urls.append(self._urls.pop(0))
                wait_s = 0.0
                if turn == len(self._urls) - 1:
                    wait_s = self._patience.pause_s(rounds + 1, trouble.pause_s)
                told = f"again in {wait_s:.0f} s" if wait_s else f"trying {shown(self._urls[0])}"
                self._say(f"{file_name(url)}: {trouble}; {told}")
                if wait_s:
                    self._patience.wait(wait_s, self._stop)
            self._check_stop()

    def _unreached(self, trouble: _TryAgain, failures: int) -> NotReached:
        is_kept = self._part.keep_or_discard(is_pinned=self._is_pinned)
        return NotReached(
            f"{shown(self._urls[0])} could not be downloaded",
            f"{trouble}; tried {failures} times in a row",
            "check the network and the URL, then run again"
            + ("; what came so far is kept and continued" if is_kept else ""),
        )

    def _check_stop(self) -> None:
        if self._stop.is_set():
            self._part.keep_or_discard(is_pinned=self._is_pinned)
            raise Interrupted("the download was stopped", shown(self._order.urls[0]), "")

    def _attempt(self, client: httpx.Client, url: str) -> None:
        """Ask once, for the rest or for all of it. Raises _TryAgain when another attempt may do better."""
        part = self._part
        rest = part.request_headers(url, is_pinned=self._is_pinned)
        newer = self._order.known.question() if self._order.known and not rest else {}
        own = self._order.headers if host_of(url) == host_of(self._order.urls[0]) else {}
        headers = {**own, **newer, **rest}
        try:
            with exchange(client, "GET", url, headers, self._stop) as response:
                self._take_head(response, url, is_continued=bool(rest))
                self._receive(response)
        except Refused:
            self._urls.remove(url)
            raise
        except NotReached as error:
            raise _TryAgain(error.details) from error
        if part.total_bytes is not None and part.size_bytes != part.total_bytes:
            if part.size_bytes > part.total_bytes:
                part.discard()
            raise _TryAgain(f"{part.size_bytes} of {part.total_bytes} bytes came")

    def _take_head(self, response: httpx.Response, url: str, *, is_continued: bool) -> None:
        """Take the answer's head: the part is ready for its body afterwards."""
        status, headers = response.status_code, response.headers
        heads = [one.headers for one in response.history]
        if status == 206 and is_continued:
            self._take_rest(headers)
        elif status == 200:
            validators = validators_of(headers, heads)
            if self._order.known is not None and self._order.known.is_same(validators):
                raise _Unchanged
            # Who redirects may lead to another mirror the next time.
            server = str(response.url) if heads else url
            self._part.begin(server, validators, validators.length)
        elif status == 304 and self._order.known is not None and not is_continued:
            raise _Unchanged
        elif status == 416 and is_continued:
            self._part.discard()
            raise _TryAgain("the server cannot continue what is there")
        elif status in TRANSIENT:
            raise _TryAgain(f"the server answers {status}", retry_after_s(headers))
        else:
            raise Refused(
                f"{shown(url)}: the server answers {status} {response.reason_phrase}".rstrip(),
                f"asked for {shown(str(response.url))}",
                "check the URL; a file that is gone needs another source in the tree",
            )

    def _take_rest(self, headers: Mapping[str, str]) -> None:
        """Check a partial answer against the request. Raises _TryAgain, for all of it."""
        part, sent = self._part, sent_range(headers)
        is_other = bool(
            not self._is_pinned
            and headers.get("etag")
            and part.validators.etag
            and headers["etag"] != part.validators.etag
        )
        if sent is None or sent[0] != part.size_bytes:
            reason = "the server sent another range than asked for"
        elif is_other or (sent[1] is not None and part.total_bytes not in {None, sent[1]}):
            reason = "the file on the server is another one now"
        else:
            part.total_bytes = part.total_bytes if sent[1] is None else sent[1]
            part.is_glued = True
            return
        part.discard()
        raise _TryAgain(reason)

    def _receive(self, response: httpx.Response) -> None:
        part = self._part
        size, total = part.size_bytes, part.total_bytes
        free = shutil.disk_usage(part.path.parent).free
        if total is not None and total - size > free:
            part.discard()
            raise NoRoom(
                f"no room for {shown(self._urls[0])}",
                f"{total - size} bytes are to come, {free} are free in {part.path.parent}",
                "make room there or choose another cache folder, then run again",
            )
        with part.open() as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                size += len(chunk)
                self._task.move(size, total)
                if self._stop.is_set():
                    break
        self._check_stop()


@dataclass(frozen=True, slots=True)
class Order:
    """A download: its servers in order of preference, and what it must be.

    `known` is the version that is there already: nothing comes when the server has no other.
    `headers` go to the host of the first one alone, and credentials in them with no redirect to another.
    """

    urls: tuple[str, ...]
    sha256: str = ""
    checksum: Checksum | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    known: Validators | None = None

    @property
    def checksums(self) -> tuple[Checksum, ...]:
        """All that the content is checked against."""
        own = (Checksum("sha256", self.sha256.lower()),) if self.sha256 else ()
        return (*own, self.checksum) if self.checksum else own
