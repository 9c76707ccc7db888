"""The helpers that Python scripts in containers import, imported here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HELPERS = str(Path(__file__).resolve().parents[3] / "plugins/lib/python")
if HELPERS not in sys.path:
    sys.path.append(HELPERS)

from kantoo import utils  # noqa: E402


@pytest.fixture(autouse=True)
def _own_arguments(monkeypatch):
    """Forget which arguments a test has read."""
    monkeypatch.setattr(utils, "_arguments", set())
