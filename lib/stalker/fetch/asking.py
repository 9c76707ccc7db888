"""Short questions to servers: an answer whose body is small or not read, asked again while a server fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import InputError, Interrupted
from stalker.fetch.answers import TRANSIENT, retry_after_s
from stalker.fetch.files import NotReached, Progress, shown
from stalker.fetch.order import Patience
from stalker.fetch.stopping import Stop

if TYPE_CHECKING:
    import httpx

LONGEST_PAUSE_S = 60.0


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
    say: Progress = lambda _: None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Ask until a server answers for good; the last answer when it goes on failing.

    `headers` are made anew for each attempt. No more than `most_bytes` of the body are read. What is sent
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
        wait_s = min(max(2.0**failures, asked_s), LONGEST_PAUSE_S)
        failures += 1
        say(f"{shown(url)}: {reason}; again in {wait_s:.0f} s")
        (patience.pause or stop.wait)(wait_s)
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
    import httpx  # late: it takes a tenth of a second

    body = b""
    try:
        with client.stream(
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers},
            data=form,
            extensions={"trace": stop.trace},
            timeout=patience.timeout_s,
            follow_redirects=form is None,
        ) as response:
            heads = [one.headers for one in response.history]
            if any(one.url.scheme == "https" for one in response.history) and response.url.scheme == "http":
                raise InputError(
                    f"{shown(url)} leads from https to http",
                    f"to {shown(str(response.url))}",
                    "name another server; what comes over http can be changed on its way",
                )
            is_whole = True
            if method == "HEAD":
                response.read()  # the connection can be used again then
            # Each piece is small, so that a server that sends all of a large file is not listened to for long.
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
                tuple(heads),
            )
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise InputError(f"{shown(url)} cannot be asked", str(error), "check the URL") from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise InputError(
                f"{shown(url)}: the server's certificate is not trusted",
                reason,
                "check the clock and the system's certificates",
            ) from error
        raise NotReached(
            f"{shown(url)} cannot be reached", reason, "check the network and the URL"
        ) from error
