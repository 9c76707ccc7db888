"""Earlier runs and their logs are found again."""

from __future__ import annotations

import os

import pytest

from stalker.journal.reader import find_old_log, list_runs, logs_of_step
from stalker.journal.writer import Journal
from stalker.model.events import StepFinished, StepStarted
from unit.helpers.story import DB, TUNE, WEB, T, idle_story, run_started, story


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
    """A fresh workspace is not an error."""
    assert list_runs(tmp_path / "none") == []
    assert find_old_log(tmp_path / "none", "web", "nginx", "a-b") is None


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a-b-up-2024-01-02-03-04-05-678.txt", "a-b-up-2024-01-02-03-04-06-001.txt"], 1),
        (["a-b-up-20240102-030405.txt", "a-b-up-2-20240102-030406.txt"], 0),
        (["a-b-up-20240102T030405Z.txt", "c-d-up-20240102T030406Z.txt"], 0),
        (["a-b-up-19-06-15-20:09:14.txt"], 0),
        (["a-b-up-20240102-030405-0123456789ab-1-1b4f.txt", "a-b-up-20240102-030405.txt"], 1),
        (["a-b-up-20240102-030405-0123456789ab-1-1b4f.txt"], None),
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

    log = find_old_log(tmp_path, "web", "up", "a-b")

    assert (log and log.name) == (None if found is None else names[found])


def test_the_logs_of_a_step_are_those_that_the_journal_of_its_run_names(tmp_path):
    """The last attempt comes first; other steps, and other runs, have logs of their own."""
    journal = Journal(tmp_path, "r1")
    for event in (
        run_started(),
        StepStarted(T, WEB, 1, "logs/web/a.txt"),
        StepFinished(T, WEB, 1, "failed", 1.0, will_retry_in_s=1.0),
        StepStarted(T + 1, DB, 1, "logs/db/b.txt"),
        StepStarted(T + 2, WEB, 2, "logs/web/a-2.txt"),
    ):
        journal.on_event(event)

    assert logs_of_step(journal.path, WEB) == [(T + 2, "logs/web/a-2.txt"), (T, "logs/web/a.txt")]
    assert logs_of_step(journal.path, DB) == [(T + 1, "logs/db/b.txt")]
    assert logs_of_step(journal.path, TUNE) == []
    assert logs_of_step(tmp_path / "none", WEB) == []
