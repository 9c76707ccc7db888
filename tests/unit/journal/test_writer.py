"""The journal of a run reads as one causal tree, whatever happened."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from eliot.parse import Parser

from stalker.errors import EngineFull
from stalker.journal.writer import Journal
from stalker.model.events import RunFinished, RunStarted, StepFinished, StepStarted
from stalker.model.tree import StepId
from unit.helpers.story import DB, DUMP, WEB, T, idle_story, run_started, story


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "logs", "r1", ["hunter2"])


def tell(journal, events):
    for event in events:
        journal.on_event(event)
    assert journal.problem == ""


def read(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def task_of(path):
    (task,) = Parser.parse_stream(read(path))
    return task


def outline(node, depth=0):
    """Return (depth, what, how it ended) of each action, in the order of the tree."""
    found = []
    if hasattr(node, "children"):
        found.append((depth, node.action_type, node.status))
        for child in node.children:
            found += outline(child, depth + 1)
    return found


def eliot_tree(path):
    call = [sys.executable, "-c", "import sys; from eliottree._cli import main; sys.exit(main())", str(path)]
    return subprocess.run(
        call, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )


def test_two_branches_a_retry_and_a_failure_keep_their_places_in_one_tree(journal, tmp_path):
    """Web and db run at the same time; each attempt stands below its step and stalk."""
    tell(journal, story())

    task = task_of(tmp_path / "logs/eliot.txt")

    assert task.is_complete()
    assert outline(task.root()) == [
        (0, "run", "failed"),
        (1, "reading", "succeeded"),
        (1, "planning", "succeeded"),
        (1, "base", "succeeded"),
        (1, "stalk base", "succeeded"),
        (1, "stalk web", "succeeded"),
        (2, "step nginx", "succeeded"),
        (3, "attempt 1", "failed"),
        (3, "attempt 2", "succeeded"),
        (4, "commit", "succeeded"),
        (2, "step tune", "succeeded"),
        (3, "attempt 1", "succeeded"),
        (4, "commit", "succeeded"),
        (1, "stalk db", "failed"),
        (2, "step pg", "failed"),
        (3, "attempt 1", "failed"),
        (4, "commit", "succeeded"),
    ]


def test_eliot_tree_shows_the_run_whole(journal, tmp_path):
    """`eliot-tree logs/eliot.txt` prints one task, with containers, logs, commits and times."""
    tell(journal, story())

    shown = eliot_tree(tmp_path / "logs/eliot.txt")

    roots = [line for line in shown.stdout.splitlines() if line and line[0] not in "│├└ "]
    assert (len(roots), shown.stderr) == (1, "")
    for part in (
        "└── run/1 ⇒ started 2023-11-14 22:13:20Z ⧖ 4.700s",
        "stalks/web/web.hjson: cdcd",
        "PORT: 80  (trees/x/x.hjson:4)",
        "web:nginx: RUN: variable PORT: 8080 -> 80",
        "│   ├── step nginx/7/2/1 ⇒ started 2023-11-14 22:13:21Z ⧖ 2.600s",
        "container: dreamy_bell",
        "log: logs/db/a-b-pg-1.txt",
        "⧖ 0.080s",
        "cause: db:pg failed",
        "exit_code: 7",
    ):
        assert part in shown.stdout


def test_a_failure_carries_brief_details_and_resolution(journal):
    """Who reads the journal of a failed step finds what happened and what to do."""
    finish = StepFinished(T + 1, WEB, 1, "failed", 1.0, 7, brief="B", details="D", resolution="R")
    tell(journal, [run_started(), StepStarted(T, WEB, 1, "l.txt"), finish])

    failed = [message for message in read(journal.path) if message.get("action_status") == "failed"]

    parts = [(message["brief"], message["details"], message["resolution"]) for message in failed]
    assert parts == [("B", "D", "R")] * 2


def test_no_secret_stands_in_the_journal(journal):
    """Output of a failed step is quoted without the secret."""
    tell(journal, story())

    text = journal.path.read_text()

    assert "hunter2" not in text
    assert text.count("password ***") >= 2


def test_messages_carry_the_times_of_the_events(journal):
    """Durations are those of the run, not of the writing."""
    tell(journal, story())

    messages = read(journal.path)

    assert (messages[0]["timestamp"], messages[-1]["timestamp"]) == (T, T + 4.7)


def test_a_run_with_nothing_to_do_is_a_few_lines(journal):
    """A hundred reused steps are one message."""
    tell(journal, idle_story(100))

    messages = read(journal.path)

    assert len(messages) <= 8
    assert messages[-1]["reused"] == 100


def test_nothing_is_imported_or_written_before_the_run_does_something(tmp_path):
    """Planning is not slowed down by the log."""
    program = (
        "import sys; from stalker.journal.writer import Journal; from unit.helpers.story import idle_story\n"
        f"j = Journal({str(tmp_path)!r}, 'r1')\n"
        "for e in idle_story()[:-1]: j.on_event(e)\n"
        "print('eliot' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    shown = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    )

    assert shown.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_reads_up_to_where_it_was_killed(journal, tmp_path):
    """Every message is in the file at once; what was open stands there as started."""
    tell(journal, story()[:14])

    task = task_of(tmp_path / "logs/eliot.txt")

    assert not task.is_complete()
    assert (2, "step pg", "started") in outline(task.root())
    assert "container: dreamy_bell" in eliot_tree(journal.path).stdout


@pytest.mark.parametrize("length", range(1, len(story())))
def test_closing_ends_whatever_is_open(journal, length):
    """An interrupted run leaves a whole tree: all that was under way failed."""
    tell(journal, story()[:length])

    journal.close(KeyboardInterrupt())

    task = task_of(journal.path)
    assert task.is_complete()
    assert task.root().status == "failed"
    assert read(journal.path)[-1]["exit_code"] == 130


def test_a_crash_is_named_with_its_reason(journal):
    """The error that ended the program ends the run in the journal."""
    tell(journal, story()[:12])

    journal.close(EngineFull("no space left", "layers: 0 bytes free", "prune"))

    last = read(journal.path)[-1]
    assert (last["exception"], last["brief"], last["resolution"]) == (
        "stalker.errors.EngineFull", "no space left", "prune",
    )  # fmt: skip


def test_problems_in_files_end_the_reading(journal):
    """Exit 2 before a plan: reading failed, with all problems as details."""
    problems = RunFinished(T + 0.1, "r1", 2, 0, 0, (), (), 0.1, "1 problem in the files", "x.hjson:1:1: no")
    tell(journal, [run_started(), problems])

    task = task_of(journal.path)

    assert outline(task.root()) == [(0, "run", "failed"), (1, "reading", "failed")]
    assert read(journal.path)[-1]["details"] == "x.hjson:1:1: no"


def test_the_newest_run_is_the_one_that_eliot_txt_shows(tmp_path):
    """Each run has its own folder; the link moves on."""
    for run in ("r1", "r2"):
        tell(Journal(tmp_path, run), idle_story())

    assert os.readlink(tmp_path / "eliot.txt") == "runs/r2/eliot.txt"
    assert (tmp_path / "runs/r1/eliot.txt").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eliot.txt", "runs"]


def test_a_plain_eliot_txt_of_the_original_tool_is_kept(tmp_path):
    """It gets the time of its last change into its name, once."""
    old = tmp_path / "eliot.txt"
    old.write_text("old\n")
    for run in ("r1", "r2"):
        tell(Journal(tmp_path, run), idle_story())

    (kept,) = tmp_path.glob("eliot-old-*.txt")
    assert kept.read_text() == "old\n"


def test_two_journals_in_one_program_do_not_mix(tmp_path):
    """Each file holds one whole task."""
    journals = [Journal(tmp_path / name, name) for name in ("a", "b")]
    for event in story():
        for journal in journals:
            journal.on_event(event)

    tasks = [task_of(journal.path) for journal in journals]

    assert all(task.is_complete() for task in tasks)
    assert tasks[0].root().task_uuid != tasks[1].root().task_uuid


def test_events_from_many_threads_make_one_whole_tree(journal):
    """Eight stalks at once, each from its own thread."""
    tell(journal, [RunStarted(T, "r1", "x", "x.hjson", "/srv")])

    def grow(number):
        for step in range(20):
            name = StepId(f"s{number}:n{step}")
            journal.on_event(StepStarted(T, name, 1, "l.txt"))
            journal.on_event(StepFinished(T + 1, name, 1, "done", 1.0, 0, "sha256:1"))

    threads = [threading.Thread(target=grow, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(journal, [RunFinished(T + 2, "r1", 0, 160, 0, (), (), 2.0)])

    task = task_of(journal.path)
    assert task.is_complete()
    assert sum(name.startswith("step") for _, name, _ in outline(task.root())) == 160


@pytest.mark.parametrize("seed", range(20))
def test_events_out_of_order_still_make_a_whole_tree(journal, seed):
    """Threads may tell of things late; nothing raises and nothing is lost."""
    events = story()
    middle = events[1:-1]
    random.Random(seed).shuffle(middle)

    tell(journal, [events[0], *middle, events[-1]])

    assert task_of(journal.path).is_complete()


def test_a_log_folder_that_cannot_be_written_never_ends_the_run(tmp_path):
    """The reason is there for who wants to tell the user."""
    (tmp_path / "logs").write_text("a file")
    journal = Journal(tmp_path / "logs", "r1")

    for event in story():
        journal.on_event(event)
    journal.close()

    assert "could not be written" in journal.problem


def test_a_blocked_step_fails_its_stalk(journal):
    """A stalk that could not start says why."""
    tell(journal, story())

    failed = [m for m in read(journal.path) if m.get("message_type") == "blocked"]

    assert [(m["step"], m["cause"]) for m in failed] == [(DUMP, f"{DB} failed")]


def test_the_plan_has_its_graph_and_each_attempt_what_was_measured(journal, tmp_path):
    """So that a report needs nothing but the journal, also when the images are gone."""
    finished = StepFinished(
        T + 9,
        WEB,
        1,
        "done",
        8.0,
        0,
        "sha256:2",
        script_s=7.25,
        added_bytes=512,
        cpu_s=1.5,
        memory_bytes=4096,
    )
    tell(journal, [*story()[:6], StepStarted(T + 1, WEB, 1, "logs/web.txt"), finished])
    journal.close()

    lines = read(tmp_path / "logs/eliot.txt")
    graph = next(line for line in lines if line.get("message_type") == "plan")["graph"]
    end = next(line for line in lines if line.get("state") == "done")
    assert graph["web:nginx"] == {"parent": "base:apt", "estimate_s": 3.0}
    assert graph["base:apt"]["image"].startswith("sha256:4ca5a981c925")
    assert {name: end[name] for name in ("script_s", "added_bytes", "cpu_s", "memory_bytes")} == {
        "script_s": 7.25,
        "added_bytes": 512,
        "cpu_s": 1.5,
        "memory_bytes": 4096,
    }
    assert "memory_at_most" not in end
