"""Short questions to servers: an answer whose body is small or not read, asked again while a server fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import Interrupted, NotReached
from stalker.fetch.http.exchange import exchange
from stalker.fetch.http.headers import TRANSIENT, retry_after_s
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import shown
from stalker.io.progress import Say

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `heads` are those of the redirects; `url` is where it came from in the end.

    `body` has at most as much as was asked for; `is_whole` says whether that was all.
    """

    status: int
    reason: str
    url: str
    headers: httpx.Headers
    body: bytes = field(repr=False)
    is_whole: bool = True
    heads: tuple[Mapping[str, str], ...] = ()

    @property
    def line(self) -> str:
        """Status and reason."""
        return f"{self.status} {self.reason}".rstrip()


def ask(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Callable[[], Mapping[str, str]] = dict,
    most_bytes: int = 0,
    patience: Patience | None = None,
    stop: Stop | None = None,
    say: Say = lambda _: None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Ask until a server answers for good; the last answer when it goes on failing.

    `headers` are made again for each attempt. No more than `most_bytes` of the body are read. What is sent
    with `form` goes to no other server by redirect.

    Raises:
        NotReached: there was no answer.
        InputError: the address is none, it leads from https to http, or the certificate is not trusted.
    """
    patience, stop = patience or Patience(), stop or Stop()
    failures = 0
    while True:
        trouble: NotReached | None = None
        try:
            answer = _ask_once(client, method, url, headers(), most_bytes, patience, stop, form)
            if answer.status not in TRANSIENT or failures >= patience.retries:
                return answer
            reason, asked_s = f"the server answers {answer.line}", retry_after_s(answer.headers)
        except NotReached as error:
            trouble, reason, asked_s = error, error.details, 0.0
        if stop.is_set():
            raise Interrupted("the download was stopped", shown(url), "")
        if trouble is not None and failures >= patience.retries:
            raise trouble
        failures += 1
        wait_s = patience.pause_s(failures, asked_s)
        say(f"{shown(url)}: {reason}; again in {wait_s:.0f} s")
        patience.wait(wait_s, stop)
        if stop.is_set():
            raise Interrupted("the download was stopped", shown(url), "")


def _ask_once(
    client: httpx.Client,
    method: str,
    url: str,
    headers: Mapping[str, str],
    most_bytes: int,
    patience: Patience,
    stop: Stop,
    form: Mapping[str, str] | None,
) -> Answer:
    answered = exchange(client, method, url, headers, stop, timeout_s=patience.timeout_s, form=form)
    with answered as response:
        body, is_whole = b"", True
        if method == "HEAD":
            response.read()  # the connection can be used again then
        # Each piece is small, so that a server that sends all of a large file is not read for long.
        for chunk in response.iter_raw(4096) if most_bytes else ():
            body += chunk
            if len(body) > most_bytes:
                is_whole = False
                break
        return Answer(
            response.status_code,
            response.reason_phrase,
            str(response.url),
            response.headers,
            body[:most_bytes],
            is_whole,
            tuple(one.headers for one in response.history),
        )
