"""What an image is created by: the text of its configuration, the time, and secrets."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.cli.settings import source_date_epoch
from stalker.errors import PlanError

if TYPE_CHECKING:
    from stalker.model.creation import Creation, SecretText


def config_text(path: Path) -> str:
    """Return the text of a configuration, byte for byte. Raises PlanError."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise PlanError(f"{path} cannot be read: {why}", "", "name a configuration, YAML or Hjson") from error


def now_s() -> int:
    """Return SOURCE_DATE_EPOCH if it is set, else the time. Raises PlanError."""
    epoch_s = source_date_epoch()
    return int(time.time()) if epoch_s is None else epoch_s


def check_secrets(creation: Creation) -> None:
    """Read all secrets once, before anything is done. Raises PlanError that tells of all which cannot be read."""
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
                f"{secret.place} asks for it",
                f"export {secret.env}=...",
            )
        return value
    if secret.path:
        try:
            return Path(secret.path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise PlanError(
                f"{secret.path} cannot be read: {why}",
                f"{secret.place} asks for it",
                "mend the path or its rights",
            ) from error
    return secret.text
