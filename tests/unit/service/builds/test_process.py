"""A process is alive exactly as long as it holds its lock, whoever started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from stalker.service.builds import process
from stalker.service.builds.places import Places

WORKER = """
import sys, pathlib
root = pathlib.Path(sys.argv[-1])
(root / "got").write_text(sys.stdin.read())
(root / "process").write_text(str(__import__("os").getpid()))
fifo = open(root / "fifo")
fifo.read()
(root / "exit").write_text("0")
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A build whose process waits for the end of a fifo; the real worker needs an engine."""
    found = Places(tmp_path).build("b")
    found.root.mkdir(parents=True)
    os.mkfifo(found.root / "fifo")
    real = subprocess.Popen

    def instead(argv, **options):
        return real([sys.executable, "-c", WORKER, argv[-1]], **options)

    monkeypatch.setattr(process.subprocess, "Popen", instead)
    return found


def test_a_process_is_watched_to_its_end(places):
    ended = threading.Event()
    process.start(places, os.environ, {"KEY": "value"})
    process.watch(places, ended.set)

    with (places.root / "fifo").open("w"):
        assert process.is_alive(places)
        assert not ended.is_set()

    assert ended.wait(20)
    assert not process.is_alive(places)
    assert process.exit_code(places) == 0
    assert json.loads((places.root / "got").read_text()) == {"KEY": "value"}


def test_a_process_is_stopped_with_its_group(places):
    ended = threading.Event()
    process.start(places, os.environ, {})
    process.watch(places, ended.set)
    with (places.root / "fifo").open("w"):
        process.stop(places, signal.SIGKILL)
        assert ended.wait(20)

    assert process.exit_code(places) is None


def test_a_number_that_another_process_has_is_not_signalled(places):
    """Without the lock the process is gone, whatever the file says."""
    places.process.write_text(f"{os.getpid()}\n")

    process.stop(places, signal.SIGKILL)

    assert not process.is_alive(places)
