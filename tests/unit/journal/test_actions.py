"""Eliot actions with the times of events, in a file of their own."""

import json

import pytest

from stalker.journal.actions import Trail


@pytest.fixture
def trail(tmp_path):
    opened = Trail(tmp_path / "eliot.txt", ["s3cr3t!"])
    yield opened
    opened.close()


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "eliot.txt").read_text().splitlines()]


def test_a_message_carries_the_time_of_its_event(trail, tmp_path):
    """Not the time of writing; each line is written at once."""
    run = trail.start(None, "run", 1.0, run="x")
    trail.log(run, "note", 2.0, msg="hello")
    trail.finish(run, 3.0, exit_code=0)

    written = lines(tmp_path)
    assert [line["timestamp"] for line in written] == [1.0, 2.0, 3.0]
    assert (written[2]["action_status"], written[2]["exit_code"]) == ("succeeded", 0)


def test_an_action_is_below_its_parent_whatever_was_written_in_between(trail, tmp_path):
    run = trail.start(None, "run", 0.0)
    first = trail.start(run, "stalk a", 0.0)
    trail.start(run, "stalk b", 0.0)
    trail.start(first, "step", 0.0)

    assert [line["task_level"] for line in lines(tmp_path)] == [[1], [2, 1], [3, 1], [2, 2, 1]]
    assert len({line["task_uuid"] for line in lines(tmp_path)}) == 1


def test_a_failed_action_has_its_error_and_its_fields(trail, tmp_path):
    """The fields are of that last message alone."""
    run = trail.start(None, "run", 0.0)
    step = trail.start(run, "step", 0.0)
    trail.finish(step, 1.0, ValueError("bad"), exit_code=7)
    trail.log(run, "note", 2.0)

    failed, note = lines(tmp_path)[-2:]
    assert (failed["action_status"], failed["reason"], failed["exit_code"]) == ("failed", "bad", 7)
    assert "exit_code" not in note


def test_a_secret_is_in_no_text_of_a_message(trail, tmp_path):
    run = trail.start(None, "run", 0.0, words=["a", {"key s3cr3t!": "s3cr3t!"}])
    trail.finish(run, 1.0, ValueError("s3cr3t!"))

    assert "s3cr3t!" not in (tmp_path / "eliot.txt").read_text()
