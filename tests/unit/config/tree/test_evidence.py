"""The state of the code: a change in any room makes kept trees and notes old."""

from __future__ import annotations

import os
from pathlib import Path

import stalker
from stalker.config.tree.evidence import code_state


def test_a_module_that_was_changed_in_any_directory_changes_the_state(tmp_path, monkeypatch):
    """A checkout is updated without a new version: what it keeps of trees is made again."""
    room = tmp_path / "stalker/config/card"
    room.mkdir(parents=True)
    (room / "load.py").touch()
    (tmp_path / "stalker/__init__.py").touch()
    monkeypatch.setattr(stalker, "__file__", str(tmp_path / "stalker/__init__.py"))
    before = code_state()

    os.utime(room / "load.py", ns=(before + 1_000_000_000, before + 1_000_000_000))

    assert code_state() == before + 1_000_000_000


def test_the_state_is_the_newest_time_of_the_modules():
    """All modules of this checkout count, in whatever room."""
    modules = Path(stalker.__file__).parent.rglob("*.py")

    assert code_state() == max(module.stat().st_mtime_ns for module in modules)
