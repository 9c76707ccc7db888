"""A push in one form for all forges, and reading it from their JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DELETED = re.compile(r"0+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs/(?:heads|tags)/[^\x00-\x20\x7f~^:?*\[\\]{1,300}")
COMMITS_MAX = 50
TEXT_MAX = 2000


class NotSigned(Exception):
    """A request without a signature, or with another one than the secret gives."""


class BadPush(Exception):
    """A signed body that is not a push of the documented form; the text says why."""


@dataclass(frozen=True, slots=True)
class Push:
    """A push. `ref` is whole (`refs/heads/feature/foo`); `commit` is empty where the ref was deleted."""

    repository: str
    ref: str
    commit: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signed:
    """A verified request: the event's name, the forge's id of the delivery, and the push where it is one."""

    event: str
    delivery: str
    push: Push | None


def check_hmac(secret: str, body: bytes, digest: str) -> None:
    """Compare an HMAC-SHA-256 of the raw body in constant time. Raises NotSigned."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), digest.encode("utf-8", "replace")):
        raise NotSigned


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises BadPush."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPush("the body is not JSON; set the content type of the hook to application/json") from error
    if not isinstance(found, dict):
        raise BadPush("the body is not a JSON object")
    return found


def read_push(payload: Mapping[str, Any], repository: str, pusher: str, url: str) -> Push:
    """Return a push; `ref`, `after` and `commits` have the same names at all forges. Raises BadPush."""
    ref, after = payload.get("ref"), payload.get("after")
    if (
        not isinstance(ref, str)
        or not _REF.fullmatch(ref)
        or ".." in ref
        or ref.endswith((".lock", "/", "."))
    ):
        raise BadPush("'ref' is not a branch or a tag")
    if not isinstance(after, str) or not (_COMMIT.fullmatch(after) or DELETED.fullmatch(after)):
        raise BadPush("'after' is not a commit")
    is_deleted = bool(DELETED.fullmatch(after))
    commits = payload.get("commits")
    details = {
        "pusher": text(pusher),
        "url": url if url.startswith(("https://", "http://")) else "",
        "commits": [_commit(one) for one in (commits if isinstance(commits, list) else [])[-COMMITS_MAX:]],
    }
    # An annotated tag has an id of its own; GitLab and GitHub name the commit too.
    target = payload.get("checkout_sha")
    commit = target if isinstance(target, str) and _COMMIT.fullmatch(target) else after
    return Push(repository, ref, "" if is_deleted else commit, details)


def _commit(found: Any) -> dict[str, str]:
    one = found if isinstance(found, dict) else {}
    author = one.get("author")
    name = author.get("name") if isinstance(author, dict) else ""
    url = text(one.get("url"))
    return {
        "id": text(one.get("id"))[:64],
        "message": text(one.get("message")),
        "author": text(name),
        "url": url if url.startswith(("https://", "http://")) else "",
    }


def text(found: Any) -> str:
    """Return a text of a payload, bounded; empty for anything else."""
    return found[:TEXT_MAX] if isinstance(found, str) else ""


def member(payload: Mapping[str, Any], key: str, name: str) -> str:
    """Return a text inside an object of a payload, empty where it is missing."""
    inner = payload.get(key)
    return text(inner.get(name)) if isinstance(inner, dict) else ""
