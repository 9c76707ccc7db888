"""One run at a time on the same names of the same engine."""

from __future__ import annotations

import os
import time

import pytest

from stalker.errors import Interrupted, LockHeld
from stalker.io import locks
from stalker.run import lock
from stalker.run.lock import engine_key, hold_names


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "lock_dir", lambda: tmp_path)
    monkeypatch.setattr(locks, "POLL_S", 0.001)


def test_a_second_run_on_the_same_name_is_refused_and_learns_whose_it_is():
    with (
        hold_names("engine", ["r/a", "r/b"], "run 1", wait=False, say=print),
        pytest.raises(LockHeld, match="r/b is being worked on by run 1"),
        hold_names("engine", ["r/b"], "run 2", wait=False, say=print),
    ):
        pass


def test_another_name_and_another_engine_are_free():
    with (
        hold_names("engine", ["r/a"], "run 1", wait=False, say=print),
        hold_names("engine", ["r/b"], "run 2", wait=False, say=print),
        hold_names("other", ["r/a"], "run 3", wait=False, say=print) as was_held,
    ):
        assert was_held  # made just now: nothing is known of a time before


def test_who_waits_may_be_stopped_and_says_once_for_whom():
    said = []
    asked = iter([False, False, True])
    with (
        hold_names("engine", ["r/a"], "run 1", wait=False, say=print),
        pytest.raises(Interrupted, match="r/a"),
        hold_names("engine", ["r/a"], "run 2", wait=True, say=said.append, stop=lambda: next(asked)),
    ):
        pass

    assert said == ["waiting for run 1, which works on r/a"]


def test_a_name_that_was_freed_since_is_reported():
    """What was known of its images may no longer be so."""
    began_s = time.time() - 60
    with hold_names("engine", ["r/a"], "run 1", wait=False, say=print):
        pass
    with hold_names("engine", ["r/a"], "run 2", wait=False, say=print, since_s=began_s) as was_held:
        assert was_held
    with hold_names("engine", ["r/a"], "run 3", wait=False, say=print, since_s=time.time() + 60) as was_held:
        assert not was_held


def test_a_socket_of_this_host_is_known_by_its_inode(tmp_path):
    """The engine is not asked for its id then."""
    (tmp_path / "socket").touch()
    found = (tmp_path / "socket").stat()

    key = engine_key(f"unix://{tmp_path}/socket", lambda: pytest.fail("the engine was asked"))

    assert key == f"socket {found.st_dev} {found.st_ino}"
    assert engine_key("tcp://host:1", lambda: "its id") == "its id"


def test_a_lock_file_is_open_to_all_users_and_the_umask_of_the_process_stays(tmp_path):
    """Other threads of the process create files meanwhile."""
    before = os.umask(0o077)
    try:
        with hold_names("engine", ["r/a"], "run 1", wait=False, say=print):
            (name,) = os.listdir(tmp_path)
            inside = os.umask(0o077)
    finally:
        os.umask(before)

    assert (tmp_path / name).stat().st_mode & 0o777 == 0o666
    assert inside == 0o077
