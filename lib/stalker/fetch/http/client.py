"""Who talks to servers, and which addresses it can talk to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.fetch.urls import shown

if TYPE_CHECKING:
    import httpx


def new_client(timeout_s: float, connections: int = 100, *, trusts_anyone: bool = False) -> httpx.Client:
    """Return an HTTP client that trusts the authorities of this system and follows redirects.

    One that `trusts_anyone` does not look at certificates: for servers that the user calls insecure.
    """
    import httpx  # late: it takes a tenth of a second

    context = httpx.create_ssl_context(verify=not trusts_anyone)
    if not trusts_anyone:
        context.load_default_certs()
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.Client(
        follow_redirects=True,
        timeout=timeout_s,
        verify=context,
        max_redirects=10,
        limits=limits,
        event_hooks={"request": [keep_credentials]},
    )


def keep_credentials(request: httpx.Request) -> None:
    """Take the caller's own headers out of a request that a redirect leads to another host.

    httpx does so with Authorization alone, and servers take tokens in headers of other names, too. `own_headers` of
    the extensions are the host that they are for, as `host_of` gives it, and their names.
    """
    host, names = request.extensions.get("own_headers", ("", ()))
    if host and host_of(str(request.url)) != host:
        for name in names:
            request.headers.pop(name, None)


def check_urls(urls: Sequence[str]) -> None:
    """Raise InputError unless each is http or https."""
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise InputError(f"{shown(url)} is neither http nor https", "", "correct the URL")


def host_of(url: str) -> str:
    """Return scheme, name and port of a URL."""
    return "/".join(url.split("/", 3)[:3]).lower()
