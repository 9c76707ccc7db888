"""Gitea, Forgejo and Gogs: `X-Gitea-Signature: HMAC`; a plain git repository signs in the same way.

Source: docs.gitea.com and forgejo.org, "Webhooks". Forgejo and Gogs send headers of their own names, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from stalker.service.hooks.push import BadPush, NotSigned, Signed, check_hmac, member, parse, read_push

NAMES = ("gitea", "forgejo", "gogs")


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> Signed:
    """Return the event of a signed request; header names are lower case. Raises NotSigned, BadPush."""
    digest = _first(headers, "signature")
    if not digest:
        raise NotSigned
    check_hmac(secret, body, digest)
    event = _first(headers, "event")
    if not event:
        raise BadPush("the header X-Gitea-Event is missing")
    return read(event, _first(headers, "delivery"), body)


def read(event: str, delivery: str, body: bytes) -> Signed:
    """Return a verified event. Raises BadPush."""
    if event != "push":
        return Signed(event, delivery, None)
    payload = parse(body)
    pusher = member(payload, "pusher", "username") or member(payload, "pusher", "login")
    repository = member(payload, "repository", "full_name")
    return Signed(
        event, delivery, read_push(payload, repository, pusher, str(payload.get("compare_url") or ""))
    )


def _first(headers: Mapping[str, str], name: str) -> str:
    return next((value for one in NAMES if (value := headers.get(f"x-{one}-{name}"))), "")
