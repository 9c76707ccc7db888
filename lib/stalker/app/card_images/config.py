"""Load the configuration of a card image, from a file or a URL, and read its secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.card.load import read_creation
from stalker.errors import InputError, PlanError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.urls import shown

if TYPE_CHECKING:
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, SecretText

CONFIG_BYTES_MAX = 1 << 20


def load_creation(config: str, cache_dir: Path, base_pattern: str, reporter: Reporter) -> Creation:
    """Read the configuration at a path or a URL; its warnings are reported.

    Raises:
        FilesError: it has problems. PlanError, InputError: it cannot be read.
    """
    if "://" in config:
        creation = read_creation(_text_at(config, cache_dir), shown(config), base_pattern=base_pattern)
    else:
        path = Path(config)
        directory = path.resolve().parent
        creation = read_creation(config_text(path), config, base_pattern=base_pattern, folder=directory)
    for text in creation.warnings:
        reporter.say(text)
    return creation


def _text_at(url: str, cache_dir: Path) -> str:
    with Cache(cache_dir) as cache:
        answer = cache.ask("GET", url, most_bytes=CONFIG_BYTES_MAX)
    if answer.status != 200 or not answer.is_whole:
        why = f"the server answers {answer.line}" if answer.status != 200 else "it is larger than 1 MiB"
        raise InputError(f"{shown(url)} cannot be read: {why}", "", "check the URL")
    try:
        return answer.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(url)} is not UTF-8 text", str(error), "check the URL") from error


def config_text(path: Path) -> str:
    """Return the text of a configuration, byte for byte. Raises PlanError."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PlanError(f"{path} cannot be read: {why}", "", "name a configuration, YAML or Hjson") from error


def check_secrets(creation: Creation) -> None:
    """Read all secrets once, before anything is done. Raises PlanError that names all unreadable ones."""
    own = creation.injections
    passwords = [*(one.password for one in own.users), *(one.password for one in own.wifi)]
    wrong = []
    for one in passwords:
        try:
            if one is not None:
                read_secret(one)
        except PlanError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        details = "\n".join(f"{error.brief}; {error.details}" for error in wrong)
        raise PlanError(f"{len(wrong)} secrets cannot be read", details, wrong[0].resolution)


def read_secret(secret: SecretText) -> str:
    """Return a secret: as written, from the environment, or from its file. Raises PlanError."""
    if secret.env:
        value = os.environ.get(secret.env)
        if value is None:
            raise PlanError(
                f"the variable {secret.env} is not set",
                f"{secret.place} requires it",
                f"export {secret.env}=...",
            )
        return value
    if secret.path:
        try:
            return Path(secret.path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise PlanError(
                f"{secret.path} cannot be read: {why}",
                f"{secret.place} requires it",
                "correct the path or its permissions",
            ) from error
    return secret.text
