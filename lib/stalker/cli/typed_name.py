"""What the user typed to start the program, which messages repeat: see `stalker.model.program`."""

# os.path is several times faster than pathlib.
# ruff: noqa: PTH118, PTH119, PTH121

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "stalker"
LAUNCHED = "STALKER_LAUNCHED_AS"
"""Set by the launcher of a checkout to its own path, as it was typed."""


def typed_name(argv0: str, environ: Mapping[str, str], *, is_installed: bool) -> str:
    """Return `stalker` where the PATH leads to this program, else the path that was typed, such as `./stalker`."""
    launched = "" if is_installed else environ.get(LAUNCHED, "")
    path = launched or (argv0 if os.path.basename(argv0) == NAME else "")
    if not path:  # python -m stalker.cli
        return NAME if is_installed else f"./{NAME}"
    if "/" not in path:  # sh stalker
        return f"./{path}"
    return NAME if _on_path(path, environ.get("PATH", "")) else path


def _on_path(path: str, search: str) -> bool:
    """Return whether the first program of that name on the PATH is this file."""
    for directory in search.split(os.pathsep):
        candidate = os.path.join(directory, NAME)
        if directory.startswith("/") and os.access(candidate, os.X_OK):
            try:
                return os.path.samefile(candidate, path)
            except OSError:
                return False
    return False
