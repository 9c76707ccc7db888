"""A service without an engine: its configuration, a database, and directories of a test."""

from __future__ import annotations

import hashlib
import hmac
import json

from stalker.service.builds.places import Places
from stalker.service.site import Configuration, Site
from stalker.service.store.database import Database

SECRET = "hook secret"
COMMIT = "0123456789" * 4


def configuration(**changes):
    """Return service.hjson with two projects, the second after the first."""
    hook = {"forge": "gitea", "secret": "HOOK", "repository": "o/first"}
    document = {
        "listen": "127.0.0.1:8520",
        "secrets": {"HOOK": {"env": "TEST_HOOK_SECRET"}, "TEAM": {"env": "TEST_TEAM_TOKEN"}},
        "builds": {"min_free": 1},
        "projects": {
            "first": {"hook": hook, "tree": "first", "source": {"git": "/nowhere"}},
            "second": {"hook": {**hook, "repository": "o/second"}, "tree": "second", "after": ["first"]},
        },
    }
    return json.dumps({**document, **changes}, indent=1)


def make_site(path, monkeypatch, text=""):
    """Return an open service; the caller closes its database."""
    monkeypatch.setenv("TEST_HOOK_SECRET", SECRET)
    monkeypatch.setenv("TEST_TEAM_TOKEN", "team token")
    file = path / "service.hjson"
    file.write_text(text or configuration())
    found = Configuration(file, str(path))
    return Site(found, Database(found.service.database), Places(path / "work"))


def payload(ref="refs/heads/main", commit=COMMIT, repository="o/first", **more):
    document = {"ref": ref, "after": commit, "repository": {"full_name": repository}, **more}
    return json.dumps(document).encode()


def signature(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(body, delivery="1", event="push", secret=SECRET):
    return {
        "X-Gitea-Event": event,
        "X-Gitea-Delivery": delivery,
        "X-Gitea-Signature": signature(body, secret),
        "Content-Length": str(len(body)),
    }
