"""One request and its answer, redirects followed: what is refused, and which failures may pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stalker.errors import InputError, NotReached
from stalker.fetch.http.client import host_of
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import shown

if TYPE_CHECKING:
    import httpx


class Refused(InputError):
    """A URL gives nothing, however often it is requested."""


_PLAIN = frozenset(
    {
        "accept",
        "accept-encoding",
        "cache-control",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "pragma",
        "range",
    }
)
"""Headers that say which bytes are meant, and go wherever a redirect leads."""


@contextlib.contextmanager
def exchange(
    client: httpx.Client,
    method: str,
    url: str,
    headers: Mapping[str, str],
    stop: Stop,
    *,
    timeout_s: float | None = None,
    form: Mapping[str, str] | None = None,
) -> Iterator[httpx.Response]:
    """Yield the answer to a request, to be read inside. `timeout_s` None is that of the client.

    Bytes are taken as they travel, so that sizes and digests are those of the file itself. What is sent with
    `form` goes to no other server by redirect.

    Raises:
        NotReached: there was no answer, or it broke off; another attempt may do better.
        Refused: the URL is invalid, it leads from https to http, or the certificate is not trusted.
    """
    import httpx  # late: it takes a tenth of a second

    try:
        with client.stream(
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers},
            data=form,
            extensions={"trace": stop.trace, "own_headers": (host_of(str(httpx.URL(url))), _own(headers))},
            timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
            follow_redirects=form is None,
        ) as response:
            _refuse_downgrade(url, response)
            yield response
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise Refused(f"{shown(url)} cannot be fetched", str(error), "check the URL") from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise Refused(
                f"{shown(url)}: the server's certificate is not trusted",
                reason,
                "check the clock and the system's certificates",
            ) from error
        raise NotReached(
            f"{shown(url)} cannot be reached", reason, "check the network and the URL"
        ) from error


def _own(headers: Mapping[str, str]) -> list[str]:
    """Return the headers that may prove who asks."""
    return [name for name in headers if name.lower() not in _PLAIN]


def _refuse_downgrade(url: str, response: httpx.Response) -> None:
    if response.url.scheme == "http" and any(one.url.scheme == "https" for one in response.history):
        raise Refused(
            f"{shown(url)} leads from https to http",
            f"to {shown(str(response.url))}",
            "name another server; what comes over http can be changed on its way",
        )
