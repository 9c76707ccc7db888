"""Events are read once each, whole, from any offset; together they say where a build is."""

from __future__ import annotations

import json

from stalker.service.builds.events import Progress, as_text, read_events

PLANNED = {
    "event": "planned",
    "steps": [
        {
            "step": "a:1",
            "verdict": "REUSE",
            "reason": "there",
            "parent": None,
            "needs": [],
            "estimate_s": None,
            "image": "i1",
        },
        {
            "step": "a:2",
            "verdict": "RUN",
            "reason": "new",
            "parent": "a:1",
            "needs": [],
            "estimate_s": 4.0,
            "image": "",
        },
    ],
    "bases": [{"stalk": "a", "verdict": "REUSE", "reason": "tag x is here", "image": "i0"}],
    "artifacts": [{"artifact": "a/x", "verdict": "MAKE", "reason": "new"}],
}
FINISHED = {
    "event": "step_finished",
    "step": "a:2",
    "state": "done",
    "duration_s": 2.0,
    "image": "i2",
    "name": "n",
    "brief": "",
}


def line(event):
    return json.dumps(event).encode() + b"\n"


def test_a_reader_goes_on_from_its_last_id(tmp_path):
    """A line that is being written is not an event yet."""
    file = tmp_path / "events"
    file.write_bytes(line({"event": "a"}) + line({"event": "b"}) + b'{"event": "c')

    first = list(read_events(file))
    file.write_bytes(file.read_bytes() + b'"}\n')

    assert [event["event"] for _, event in first] == ["a", "b"]
    assert [event["event"] for _, event in read_events(file, first[-1][0])] == ["c"]
    assert [event["event"] for _, event in read_events(file, first[0][0])] == ["b", "c"]


def test_half_a_line_of_a_killed_process_is_passed_over(tmp_path):
    file = tmp_path / "events"
    file.write_bytes(b'{"event": "st' + line({"event": "run_started"}) + line({"event": "b"}))

    assert [event["event"] for _, event in read_events(file)] == ["b"]


def test_no_file_has_no_events(tmp_path):
    assert list(read_events(tmp_path / "none")) == []


def test_events_say_where_a_build_is(tmp_path):
    file = tmp_path / "events"
    file.write_bytes(line({"event": "run_started", "run": "r"}) + line(PLANNED))
    progress = Progress().read_on(file)

    assert progress.phase == "building"
    assert [step.state for step in progress.steps.values()] == ["reused", "waiting"]
    assert (progress.remaining_s, progress.last_image) == (4.0, "")

    file.write_bytes(file.read_bytes() + line(FINISHED) + line({"event": "unknown", "x": 1}))
    progress.read_on(file)

    assert (progress.steps["a:2"].state, progress.last_image, progress.remaining_s) == ("done", "i2", None)


def test_the_last_lines_are_kept():
    progress = Progress()
    for number in range(30):
        progress.take({"event": "step_output", "step": "a:1", "data": f"{number}\n"})

    assert list(progress.console) == [str(number) for number in range(10, 30)]


def test_a_log_is_text():
    assert as_text({"event": "step_output", "data": "x"}) == "x"
    assert as_text({**FINISHED}) == "=== a:2 done after 2.0 s\n"
    assert as_text({"event": "file_read"}) == ""
