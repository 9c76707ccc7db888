"""What comes with stalker as files: reusable plugins, their helper libraries, and templates.

A wheel has them in `stalker/shipped`, which `setup.py` makes when it is built; a checkout has them at its top.
Nothing is ever written there.
"""

# os.path is several times faster than pathlib, and importing it costs nothing.
# ruff: noqa: PTH100, PTH112, PTH118, PTH120

from __future__ import annotations

import os

import stalker

_PACKAGE = os.path.dirname(os.path.abspath(stalker.__file__))
_INSTALLED = os.path.join(_PACKAGE, "shipped")


def is_installed() -> bool:
    """Return whether this is an installed stalker, not a checkout."""
    return os.path.isdir(_INSTALLED)


def shipped(name: str) -> str:
    """Return the absolute path of a directory that comes with stalker: `plugins`, `trees`, `stalks`."""
    return os.path.join(_INSTALLED if is_installed() else os.path.dirname(os.path.dirname(_PACKAGE)), name)
