"""The key of the service."""

from __future__ import annotations

import stat

import pytest

from stalker.io import atomic
from stalker.service.web.access import read_key


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    """A session that was signed before a restart is good after it."""
    path = tmp_path / "state/key"

    key = read_key(path)

    assert len(key) == 32
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_could_not_be_written_is_not_there(tmp_path, monkeypatch):
    """An empty file in its place would be taken for a key that everyone knows."""

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        read_key(tmp_path / "key")
    monkeypatch.undo()

    assert list(tmp_path.iterdir()) == []
    assert len(read_key(tmp_path / "key")) == 32
