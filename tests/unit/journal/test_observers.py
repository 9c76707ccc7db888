"""The observers of a run, together."""

from __future__ import annotations

from dataclasses import replace

from stalker.journal.observers import open_observers
from stalker.model.tree import Tree
from unit.helpers.story import story


def test_a_run_leaves_its_journal_and_logs_in_the_log_folder(tmp_path, capfd):
    """logs/eliot.txt, the steps' output, and the lines for the user."""
    tree = Tree("x", "trees/x/x.hjson", str(tmp_path), "logs", "d/a/s", "a-s", ())
    observers = open_observers(tree, "r1", ["hunter2"])

    started = replace(story()[0], workspace=str(tmp_path))
    for event in [started, *story()[1:]]:
        for observer in observers.all:
            observer.on_event(event)
    observers.close()

    assert (tmp_path / "logs/eliot.txt").read_text().count('"action_type": "run"') == 2
    assert (tmp_path / "logs/db/a-b-pg-1.txt").read_text() == "password ***\nno space\n"
    assert capfd.readouterr().err.splitlines()[-1].startswith("failed: 2 steps ran")


def test_logs_that_cannot_be_written_are_told_at_the_end(tmp_path, capfd):
    """The run itself is not disturbed."""
    (tmp_path / "logs").write_text("a file")
    tree = Tree("x", "trees/x/x.hjson", str(tmp_path), "logs", "d/a/s", "a-s", ())
    observers = open_observers(tree, "r1", [], quiet=True)

    for event in [replace(story()[0], workspace=str(tmp_path)), *story()[1:]]:
        for observer in observers.all:
            observer.on_event(event)
    observers.close()

    told = capfd.readouterr().err
    assert told.count("warning: the journal") == 1
    assert told.count("warning: a step's log") == 1
