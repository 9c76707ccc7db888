"""Placed files in a volume of their own, mounted over files of the image."""

from __future__ import annotations

import pytest

from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError
from stalker.model import labels
from stalker.run.script.mounted_files import mounts_of_files, run_of_volume
from stalker.run.script.payload import Placed

RUN = "20261121-030616-daa4ee-27560-8649b"
FILES = tuple(Placed(f"/etc/{name}", "p", "move", 0o644, b"x", "", is_secret=False) for name in "ab")


def test_each_file_is_mounted_at_its_target_from_the_volume_of_the_run():
    """The container that fills the volume is removed; the volume carries the run, for the clean-up."""
    engine = FakeEngine()
    engine.add_image("base:1")

    volume, mounts = mounts_of_files(engine, "base:1", FILES, RUN)

    assert run_of_volume(volume) == RUN
    assert engine.volumes({labels.RUN: RUN}) == [volume]
    path = engine.volume_path(volume)
    assert [(mount.target, mount.source) for mount in mounts] == [
        ("/etc/a", f"{path}/0"),
        ("/etc/b", f"{path}/1"),
    ]
    assert engine.containers({}) == []


def test_the_container_is_removed_when_it_cannot_be_filled(monkeypatch):
    engine = FakeEngine()
    engine.add_image("base:1")

    def fails(*_):
        raise EngineError("no space left")

    monkeypatch.setattr(engine, "put", fails)

    with pytest.raises(EngineError):
        mounts_of_files(engine, "base:1", FILES, RUN)

    assert engine.containers({}) == []
