"""GitHub: `X-Hub-Signature-256: sha256=HMAC`.

Source: docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads".
"""

from __future__ import annotations

from collections.abc import Mapping

from stalker.service.hooks.push import BadPush, NotSigned, Signed, check_hmac, member, parse, read_push


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> Signed:
    """Return the event of a signed request; header names are lower case. Raises NotSigned, BadPush."""
    scheme, _, digest = headers.get("x-hub-signature-256", "").partition("=")
    if scheme != "sha256":
        raise NotSigned
    check_hmac(secret, body, digest)
    event = headers.get("x-github-event", "")
    if not event:
        raise BadPush("the header X-GitHub-Event is missing")
    return read(event, headers.get("x-github-delivery", ""), body)


def read(event: str, delivery: str, body: bytes) -> Signed:
    """Return a verified event. Raises BadPush."""
    if event != "push":
        return Signed(event, delivery, None)
    payload = parse(body)
    repository, pusher = member(payload, "repository", "full_name"), member(payload, "pusher", "name")
    return Signed(event, delivery, read_push(payload, repository, pusher, str(payload.get("compare") or "")))
