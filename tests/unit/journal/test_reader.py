"""Earlier runs and their logs are found again."""

from __future__ import annotations

import os

import pytest

from stalker.journal.places import step_log
from stalker.journal.reader import find_step_log, list_runs
from stalker.journal.writer import Journal
from unit.journal.story import T, idle_story, story


def keep(log_dir, run, events):
    journal = Journal(log_dir, run)
    for event in events:
        journal.on_event(event)


def test_a_run_is_summed_up(tmp_path):
    """Tree, start, duration, exit code and counts of a run."""
    keep(tmp_path, "r1", story())

    (run,) = list_runs(tmp_path)

    assert (run.run, run.tree, run.started_at, run.exit_code) == ("r1", "x", T, 1)
    assert run.duration_s == pytest.approx(4.7)
    assert (run.ran, run.reused, run.failed, run.blocked) == (2, 1, ("db:pg",), ("db:dump",))


def test_a_killed_run_has_no_end(tmp_path):
    """Its last line may be cut in the middle."""
    keep(tmp_path, "r1", story()[:14])
    path = tmp_path / "runs/r1/eliot.txt"
    path.write_bytes(path.read_bytes()[:-20])

    (run,) = list_runs(tmp_path)

    assert (run.tree, run.exit_code, run.duration_s) == ("x", None, None)


def test_runs_come_newest_first_and_foreign_things_are_passed_over(tmp_path):
    """A folder with rubbish in it does no harm."""
    from dataclasses import replace

    for number, run in enumerate(["old", "new"]):
        keep(tmp_path, run, [replace(event, at=event.at + number * 100) for event in idle_story()])
    for name, content in {"empty": b"", "rubbish": b"\xff\x00{", "list": b"[]\n"}.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "eliot.txt").write_bytes(content)
    (tmp_path / "runs/file").write_text("x")

    assert [run.run for run in list_runs(tmp_path)] == ["new", "old"]


def test_without_logs_there_are_no_runs(tmp_path):
    """A fresh workspace is no error."""
    assert list_runs(tmp_path / "none") == []
    assert find_step_log(tmp_path / "none", "web", "nginx", "a-b") is None


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a-b-up-2024-01-02-03-04-05-678.txt", "a-b-up-2024-01-02-03-04-06-001.txt"], 1),
        (["a-b-up-20240102-030405.txt", "a-b-up-2-20240102-030406.txt"], 0),
        (["a-b-up-20240102T030405Z.txt", "c-d-up-20240102T030406Z.txt"], 0),
        (["a-b-up-19-06-15-20:09:14.txt"], 0),
        (["a-b-upper-20240102-030405.txt", "a-b-up.txt", "a-b-up-20240102-030405.log"], None),
    ],
)
def test_the_newest_log_of_just_this_step_is_found(tmp_path, names, found):
    """`up-2` and `upper` are other steps; logs of the original tool count."""
    (tmp_path / "web").mkdir()
    for age, name in enumerate(names):
        path = tmp_path / "web" / name
        path.write_text("")
        os.utime(path, (T + age, T + age))

    log = find_step_log(tmp_path, "web", "up", "a-b")

    assert (log and log.name) == (None if found is None else names[found])


def test_a_new_log_has_a_name_that_is_found(tmp_path):
    """Whoever names logs with `step_log` finds them again; there is no colon in a name."""
    path = step_log(tmp_path, "web", "up-2", "arm-32bit-raspi3", T)
    os.makedirs(os.path.dirname(path))
    with open(path, "w"):
        pass

    assert str(find_step_log(tmp_path, "web", "up-2", "arm-32bit-raspi3")) == path
    assert ":" not in os.path.basename(path)
