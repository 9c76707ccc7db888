"""What the environment of this process determines: engine, cache directory, latest time of files."""

from __future__ import annotations

import os
import time
from pathlib import Path

from stalker.engine.discovery import answering, find_address
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.run_id import new_run_id
from stalker.errors import PlanError
from stalker.io import user_dirs
from stalker.model.labels import CONTAINER, RUN, VERSION


def connect() -> DockerEngine:
    """Connect to the engine that answers. Raises NoEngine."""
    address = answering(find_address(os.environ, os.path.expanduser("~"))).address  # noqa: PTH111
    return DockerEngine(address, {RUN: new_run_id(time.time()), VERSION: CONTAINER})


def cache_dir() -> Path:
    """Return stalker's own directory in the user's cache."""
    return Path(user_dirs.cache_dir())


def source_date_epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH of the environment, None when it is not set. Raises PlanError."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise PlanError(
            f"SOURCE_DATE_EPOCH: '{text}' is not a Unix timestamp in seconds",
            "",
            "set it to whole seconds since 1970, or unset it",
        )
    return int(text)


def now_s() -> int:
    """Return SOURCE_DATE_EPOCH if it is set, else the current time. Raises PlanError."""
    epoch_s = source_date_epoch()
    return int(time.time()) if epoch_s is None else epoch_s
