"""The process of a build: its events are bounded, its files are whole."""

from __future__ import annotations

import json

from stalker.io.atomic import write_file
from stalker.service.builds.worker import CappedEvents


def test_output_beyond_the_limit_is_left_out_with_one_mark(tmp_path):
    """A step that prints without end fills no disk; all other events stay."""
    events = CappedEvents(tmp_path / "events", limit=400)
    for number in range(50):
        events.write(json.dumps({"event": "step_output", "data": str(number)}) + "\n")
    events.write(json.dumps({"event": "run_finished"}) + "\n")

    found = [json.loads(line)["event"] for line in (tmp_path / "events").read_text().splitlines()]
    assert found.count("note") == 1
    assert found[-1] == "run_finished"
    assert (tmp_path / "events").stat().st_size < 600


def test_the_next_attempt_appends(tmp_path):
    for name in ("a", "b"):
        CappedEvents(tmp_path / "events").write(f"{name}\n")

    assert (tmp_path / "events").read_text() == "a\nb\n"


def test_a_file_is_replaced_whole(tmp_path):
    write_file(tmp_path / "exit", "0\n")
    write_file(tmp_path / "exit", "1\n")

    assert (tmp_path / "exit").read_text() == "1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["exit"]
