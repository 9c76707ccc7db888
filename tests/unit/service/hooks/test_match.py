"""Signed pushes of each forge (github.py, gitea.py, gitlab.py) in its documented shape; what is not signed builds nothing."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from stalker.model.diagnostics import Place
from stalker.model.service import Hook, Project
from stalker.service.hooks.match import verify, wish_of
from stalker.service.hooks.push import BadPush, NotSigned

SECRET = "it's a secret"
COMMIT = "0123456789" * 4
COMMITS = [{"id": COMMIT, "message": "<img onerror=x>", "url": "javascript:x", "author": {"name": "Ann"}}]
BODIES = {
    "github": {
        "ref": "refs/heads/main",
        "after": COMMIT,
        "repository": {"full_name": "o/core"},
        "pusher": {"name": "ann"},
        "compare": "https://github.com/o/core/compare/x",
        "commits": COMMITS,
    },
    "gitea": {
        "ref": "refs/heads/main",
        "after": COMMIT,
        "repository": {"full_name": "o/core"},
        "pusher": {"username": "ann"},
        "compare_url": "https://gitea.example.org/o/core/compare/x",
        "commits": COMMITS,
    },
    "gitlab": {
        "object_kind": "push",
        "ref": "refs/heads/main",
        "after": COMMIT,
        "checkout_sha": COMMIT,
        "project": {"path_with_namespace": "o/core", "web_url": "https://gitlab.example.org/o/core"},
        "user_name": "ann",
        "commits": COMMITS,
    },
}
BODIES["git"] = BODIES["gitea"]


def project(forge, refs=("heads/*",)):
    return Project("core", Place("service.hjson"), "core", Hook(forge, "HOOK", "o/core", refs))


def headers(forge, body, event="push", secret=SECRET):
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if forge == "github":
        return {"x-github-event": event, "x-github-delivery": "1", "x-hub-signature-256": f"sha256={digest}"}
    if forge == "gitlab":
        return {
            "x-gitlab-event": event.title() + " Hook",
            "x-gitlab-event-uuid": "1",
            "x-gitlab-token": secret,
        }
    return {"x-gitea-event": event, "x-gitea-delivery": "1", "x-gitea-signature": digest}


def wish(forge, body, event="push", refs=("heads/*",)):
    raw = json.dumps(body).encode()
    own = project(forge, refs)
    return wish_of(own, verify(own.hook, headers(forge, raw, event), raw, SECRET))


@pytest.mark.parametrize("forge", BODIES)
def test_a_signed_push_asks_for_its_commit(forge):
    """Texts are kept as they are, bounded; addresses that are not http are not kept."""
    found, reason = wish(forge, BODIES[forge])

    assert (found.project, found.ref, found.commit, reason) == ("core", "refs/heads/main", COMMIT, "")
    assert found.push["pusher"] == "ann"
    assert found.push["url"].startswith("https://")
    assert found.push["commits"] == [{"id": COMMIT, "message": "<img onerror=x>", "author": "Ann", "url": ""}]


SIGNS_ITS_BODY = set(BODIES) - {"gitlab"}
"""GitLab's token is the secret itself, whatever the body."""


@pytest.mark.parametrize(
    ("forge", "change"),
    [
        (forge, change)
        for forge in BODIES
        for change in ("body", "secret", "missing", "empty", "not ascii")
        if change != "body" or forge in SIGNS_ITS_BODY
    ],
)
def test_what_is_not_signed_is_refused(forge, change):
    body = json.dumps(BODIES[forge]).encode()
    own = headers(forge, body, secret="another" if change == "secret" else SECRET)
    key = next(key for key in own if "signature" in key or "token" in key)
    if change == "missing":
        del own[key]
    elif change in {"empty", "not ascii"}:
        own[key] = "" if change == "empty" else "sha256=é"
    elif change == "body":
        body += b" "

    with pytest.raises(NotSigned):
        verify(project(forge).hook, own, body, SECRET)


@pytest.mark.parametrize("forge", BODIES)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"after": "0" * 40, "checkout_sha": None}, "refs/heads/main was deleted"),
        ({"ref": "refs/tags/v1"}, "tag not tracked: v1"),
        ({"repository": {"full_name": "o/x"}, "project": {"path_with_namespace": "o/x"}}, "not tracked: o/x"),
    ],
)
def test_what_is_not_tracked_builds_nothing(forge, change, reason):
    """A tag is not a branch, and a deletion builds nothing."""
    found, said = wish(forge, {**BODIES[forge], **change})

    assert found is None
    assert reason in said


@pytest.mark.parametrize("forge", BODIES)
def test_refs_are_taken_whole(forge):
    """`feature/foo` is not `foo`."""
    body = {**BODIES[forge], "ref": "refs/heads/feature/foo"}

    assert wish(forge, body, refs=("heads/foo",))[1] == "branch not tracked: feature/foo"
    assert wish(forge, body, refs=("heads/feature/*",))[0].ref == "refs/heads/feature/foo"


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_ping_builds_nothing(forge):
    assert wish(forge, {"zen": "x"}, event="ping") == (None, "a ping")


@pytest.mark.parametrize("forge", BODIES)
@pytest.mark.parametrize(
    "change",
    [
        {"ref": "main"},
        {"ref": "refs/heads/a b"},
        {"ref": "refs/heads/../../x"},
        {"ref": 1},
        {"after": "--upload-pack=x"},
        {"after": None},
    ],
)
def test_a_push_of_another_form_is_refused(forge, change):
    """Refs and commits become arguments of git: nothing else than a ref or a commit passes."""
    with pytest.raises(BadPush):
        wish(forge, {**BODIES[forge], **change})


@pytest.mark.parametrize("body", [b"not json", b"[]", b"\xff", b"[" * 100_000, b"payload=%7B%7D"])
def test_a_signed_body_that_is_not_json_is_refused(body):
    with pytest.raises(BadPush):
        verify(project("github").hook, headers("github", body), body, SECRET)
