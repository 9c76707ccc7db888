"""Directories of this user, as the XDG Base Directory Specification names them.

The specification says that a relative path in one of its variables is invalid and is to be ignored.
"""

# The short way of a run with nothing to do imports this module, so it does without pathlib.
# ruff: noqa: PTH111, PTH117, PTH118

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_dir(environ: Mapping[str, str] = os.environ) -> str:
    """Return where stalker keeps what it can make again: `$XDG_CACHE_HOME/stalker`."""
    return os.path.join(_absolute(environ, "XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "stalker")


def data_dir(environ: Mapping[str, str] = os.environ) -> str:
    """Return where stalker keeps what it cannot make again: `$XDG_DATA_HOME/stalker`."""
    return os.path.join(
        _absolute(environ, "XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "stalker"
    )


def runtime_dir(environ: Mapping[str, str] = os.environ) -> str:
    """Return where servers of this user have their sockets: `$XDG_RUNTIME_DIR`."""
    return _absolute(environ, "XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def _absolute(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(name, "")
    return path if os.path.isabs(path) else ""
