"""Who a run is, and whether it still lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from stalker.engine import run_id
from stalker.engine.run_id import fate, is_left_over, new_run_id


def test_a_living_run_is_not_dead_whatever_the_clock_says():
    """The clock of a virtual machine jumps when it is resumed."""
    for moment in (0.0, time.time(), time.time() + 10**8):
        assert fate(new_run_id(moment)) != "dead"


def test_a_run_whose_process_is_gone_is_dead():
    program = "from stalker.engine.run_id import new_run_id; print(new_run_id(0))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert fate(ended.stdout.strip()) == "dead"


def test_a_zombie_is_dead():
    """A parent that does not ask for its killed child keeps its number taken."""
    program = "from stalker.engine.run_id import new_run_id; print(new_run_id(0), flush=True)"
    ended = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    run = ended.stdout.readline().strip()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert fate(run) == "dead"
    ended.communicate()


def test_a_process_number_that_is_used_again_is_another_run():
    stamp, clock, host, pid, start = new_run_id(0).split("-")

    assert fate("-".join([stamp, clock, host, pid, start + "1"])) == "dead"


@pytest.mark.parametrize("run", ["", "container", "a-b-c-d-e", "20261121-020305-ffffff-1-0", "1-2-3"])
def test_what_is_of_another_host_or_no_run_is_never_called_dead(run):
    assert fate(run) != "dead"


def test_a_process_number_of_another_pid_namespace_says_nothing(monkeypatch):
    """Two jobs of a CI are process 1 each, and share machine-id and host name in the host's network."""
    run = new_run_id(0)
    monkeypatch.setattr(run_id.os, "readlink", lambda _path: "pid:[1]")

    assert fate(run) == "unknown"
    assert fate(run[:-1] + "z") == "unknown"


def test_a_process_number_of_another_boot_says_nothing(monkeypatch):
    run = new_run_id(0)
    monkeypatch.setattr(run_id, "_place", lambda: "0123456789ab")

    assert fate(run) == "unknown"


def test_where_there_is_no_proc_every_run_is_unknown(monkeypatch):
    """Its own too: a place that cannot be read is not the same place twice."""
    monkeypatch.setattr(run_id, "_place", lambda: "")
    run = new_run_id(0)

    assert fate(run) == "unknown"
    assert len(run.split("-")) == 5


@pytest.mark.parametrize(("answer", "expected"), [(PermissionError, "unknown"), (ProcessLookupError, "dead")])
def test_a_process_that_proc_hides_is_not_called_dead(monkeypatch, answer, expected):
    """With `hidepid` nothing of another user's processes is in /proc, but they can be signalled to."""

    def refuse(_pid, _signal):
        raise answer

    monkeypatch.setattr(run_id.os, "kill", refuse)
    stamp, clock, place, _pid, start = new_run_id(0).split("-")

    assert fate(f"{stamp}-{clock}-{place}-4194305-{start}") == expected


STRANGE = "20261121-020305-0123456789ab-1-1b4f"


@pytest.mark.parametrize(
    ("run", "state", "expected"),
    [
        ("alive", "created", False),
        ("alive", "running", False),
        ("alive", "exited", False),
        ("dead", "created", True),
        ("dead", "running", True),
        ("dead", "exited", True),
        ("strange", "created", False),
        ("strange", "running", False),
        ("strange", "paused", False),
        ("strange", "exited", True),
        ("strange", "dead", True),
    ],
)
def test_what_is_left_over(run, state, expected):
    """A process that can be looked up decides; else the engine: what has stopped has lost its run."""
    own = new_run_id(0)
    runs = {"alive": own, "dead": own + "1", "strange": STRANGE}

    assert is_left_over(runs[run], state) is expected
