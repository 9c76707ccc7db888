"""Configurations of images that tests write and read."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path

from stalker.config.card.load import read_creation
from stalker.errors import FilesError

FOLDER = Path("/srv/cards")
HASH = "$6$x3uI.SssBwdwth8B$S0JsF6iWEjPGhsGuqrVRxKEZ6H38vHhAbXl1cU6tSk1s87rtZ9L/xpP7QUwcKF0SjQF2BDLhuMgF4rY1FLbZc."
"""What `openssl passwd -6` made of "x"."""


def created(text: str, file: str = "card.yaml", **options):
    """Read a configuration that stands in /srv/cards; `base` is added where it has none."""
    text = textwrap.dedent(text).lstrip("\n")
    if "base:" not in text:
        text = text.rstrip("\n") + "\nbase: 1.2.3\n"
    return read_creation(text, file, **{"folder": FOLDER, **options})


def refused(text: str, file: str = "card.yaml", **options) -> list[str]:
    """Return what is wrong in it, each as `line:column: path: what`, with the hint behind ` -- `."""
    try:
        created(text, file, **options)
    except FilesError as error:
        return [_shown(problem) for problem in error.problems]
    return []


def _shown(problem) -> str:
    place = problem.place
    path = f"{place.path}: " if place.path else ""
    hint = f" -- {problem.hint}" if problem.hint else ""
    return f"{place.line}:{place.column}: {path}{problem.what}{hint}"


def public_key(kind: str, *fields: bytes) -> str:
    """Return a key as OpenSSH writes it: the type, and each part behind its length."""
    parts = (kind.encode(), *fields)
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


ED25519 = f"ssh-ed25519 {public_key('ssh-ed25519', bytes(32))} ann@desk"
