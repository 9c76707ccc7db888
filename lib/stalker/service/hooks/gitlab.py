"""GitLab: the secret itself in `X-Gitlab-Token`, which only TLS protects.

Source: docs.gitlab.com, "Webhooks" and "Webhook events".
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from stalker.service.hooks.push import BadPush, NotSigned, Signed, member, parse, read_push, text

_PUSHES = {"Push Hook", "Tag Push Hook"}


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> Signed:
    """Return the event of a request with the token; header names are lower case. Raises NotSigned, BadPush."""
    token = headers.get("x-gitlab-token", "")
    if not token or not hmac.compare_digest(secret.encode(), token.encode("utf-8", "replace")):
        raise NotSigned
    event = headers.get("x-gitlab-event", "")
    if not event:
        raise BadPush("the header X-Gitlab-Event is missing")
    return read(event, headers.get("idempotency-key") or headers.get("x-gitlab-event-uuid", ""), body)


def read(event: str, delivery: str, body: bytes) -> Signed:
    """Return a verified event. Raises BadPush."""
    if event not in _PUSHES:
        return Signed(event, delivery, None)
    payload = parse(body)
    repository = member(payload, "project", "path_with_namespace")
    push = read_push(
        payload, repository, text(payload.get("user_name")), member(payload, "project", "web_url")
    )
    return Signed(event, delivery, push)
