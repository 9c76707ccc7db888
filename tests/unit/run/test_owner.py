"""Who a run is, and whether it still lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from stalker.run.owner import is_dead, new_run_id


def test_a_living_run_is_not_dead_whatever_the_clock_says():
    """The clock of a virtual machine jumps when it is resumed."""
    for moment in (0.0, time.time(), time.time() + 10**8):
        assert not is_dead(new_run_id(moment))


def test_a_run_whose_process_is_gone_is_dead():
    program = "from stalker.run.owner import new_run_id; print(new_run_id(0))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert is_dead(ended.stdout.strip())


def test_a_zombie_is_dead():
    """A parent that does not ask for its killed child keeps its number taken."""
    program = "from stalker.run.owner import new_run_id; print(new_run_id(0), flush=True)"
    ended = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    run = ended.stdout.readline().strip()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert is_dead(run)
    ended.communicate()


def test_a_process_number_that_is_used_again_is_another_run():
    stamp, clock, host, pid, start = new_run_id(0).split("-")

    assert is_dead("-".join([stamp, clock, host, pid, start + "1"]))


@pytest.mark.parametrize("run", ["", "container", "a-b-c-d-e", "20261121-020305-ffffff-1-0", "1-2-3"])
def test_what_is_of_another_host_or_no_run_is_never_called_dead(run):
    assert not is_dead(run)
