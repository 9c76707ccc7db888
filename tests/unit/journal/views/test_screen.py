"""What is shown of a run when there is little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from stalker.journal.views.progress import Progress
from stalker.journal.views.screen import Row, final_rows, fit, rows
from stalker.model.events import (
    Planned,
    PlannedStep,
    RunStarted,
    StepBlocked,
    StepFinished,
    StepOutput,
    StepReused,
    StepStarted,
)
from stalker.model.tree import StepId
from unit.helpers.story import T


def many(stalks, steps, *, running=(), done=(), reused=()):
    progress = Progress()
    ids = [StepId(f"s{a:03}:n{b:03}") for a in range(stalks) for b in range(steps)]
    progress.on_event(RunStarted(T, "r1", "x", "x.hjson", "/"))
    progress.on_event(Planned(T, tuple(PlannedStep(step, "RUN", "") for step in ids)))
    for stalk in done:
        for number in range(steps):
            progress.on_event(StepFinished(T, StepId(f"s{stalk:03}:n{number:03}"), 1, "done", 1.0))
    for stalk in reused:
        for number in range(steps):
            progress.on_event(StepReused(T, StepId(f"s{stalk:03}:n{number:03}"), "", ""))
    for stalk in running:
        step = StepId(f"s{stalk:03}:n000")
        progress.on_event(StepStarted(T, step, 1, ""))
        progress.on_event(StepOutput(T, step, b"busy\n"))
    return progress


def texts(found):
    return [f"{row.kind}: {row.text}" for row in found]


def test_a_small_run_is_shown_whole():
    """A finished stalk is one line, a running one shows its steps, a waiting one is one line."""
    progress = many(3, 2, done=[0], running=[1])

    assert texts(rows(progress, T + 1, 24, 80)) == [
        "done: s000  2 steps",
        "stalk: s001",
        "running: n000",
        "output: busy",
        "waiting: n001",
        "waiting: s002  2 steps",
        "total: 1.0 s: 2 of 6 there, 1 running",
    ]


def test_running_steps_are_shown_when_there_is_no_room_for_others():
    """What happens now stands before what was and what comes; the rest is counted."""
    progress = many(100, 1, done=range(40), running=[50, 90])

    assert texts(rows(progress, T + 1, 8, 80)) == [
        "stalk: s050",
        "running: n000",
        "output: busy",
        "stalk: s090",
        "running: n000",
        "output: busy",
        "more: 98 more",
        "total: 1.0 s: 40 of 100 there, 2 running",
    ]


def test_more_running_steps_than_lines():
    """Even then the last line tells of all."""
    progress = many(60, 1, running=range(60))

    found = texts(rows(progress, T + 1, 10, 80))

    assert len(found) == 10
    assert found[-2:] == ["more: 56 more", "total: 1.0 s: 0 of 60 there, 60 running"]


def test_a_stalk_of_thousands_of_steps_counts_those_that_come():
    """No more rows are made than there are lines."""
    progress = many(1, 5000, running=[0])

    found = texts(rows(progress, T + 1, 24, 80))

    assert len(found) == 24
    assert found[-2] == f"more: {4999 - 19} more"


@given(
    st.integers(1, 30),
    st.integers(1, 6),
    st.integers(1, 40),
    st.sets(st.integers(0, 29)),
    st.sets(st.integers(0, 29)),
)
def test_rows_never_exceed_the_lines(stalks, steps, height, running, done):
    """Whatever goes on, the picture fits and ends with the line on the whole run."""
    known = set(range(stalks))
    progress = many(stalks, steps, running=(running & known) - done, done=done & known)

    found = rows(progress, T, height, 80)

    assert len(found) <= height
    assert found[-1].kind == "total"


@given(
    st.text(st.characters(exclude_categories=["C", "M", "Z"]), max_size=60),
    st.sampled_from(["", "1.2 s", "1.2 s, about 12 min 4 s left"]),
    st.integers(0, 9),
    st.integers(10, 130),
    st.booleans(),
)
def test_a_row_is_never_wider_than_the_terminal(text, right, indent, width, is_ascii):
    """Wide characters count two columns."""
    row = Row("running", text, right, indent)

    assert cell_len("".join(fit(row, width, T, is_ascii=is_ascii))) <= width


@pytest.mark.parametrize(
    ("row", "width", "line"),
    [
        (Row("done", "web  2 steps", "3.2 s", 1), 40, " ✓ web  2 steps                    3.2 s"),
        (Row("done", "a_very_long_name_of_a_stalk  2 steps", "3.2 s"), 30, "✓ a_very_long_name_of_…  3.2 s"),
        (Row("output", "日本語日本語日本語日本語"), 13, "│ 日本語日本…"),
        (Row("done", "abcdefghij", "3.2 s"), 10, "✓ abcdefg…"),
    ],
)
def test_how_a_row_fits(row, width, line):
    """The time stands to the right while there is room; long names are cut."""
    assert "".join(fit(row, width, T, is_ascii=False)).rstrip() == line


def test_without_unicode_plain_signs_do():
    """In the C locale."""
    assert "".join(fit(Row("failed", "web"), 40, T, is_ascii=True)).rstrip() == "x web"


def test_what_stays_on_the_screen_is_short():
    """Stalks of which there is nothing to say are counted."""
    progress = many(80, 2, done=range(3), reused=range(10, 30))
    progress.on_event(StepFinished(T, StepId("s005:n000"), 1, "failed", 1.0, 7))

    assert texts(final_rows(progress)) == [
        "done: s000  2 steps",
        "done: s001  2 steps",
        "done: s002  2 steps",
        "waiting: s005  2 steps",
        "failed: n000: exit code 7",
        "reused: 20 stalks already there",
        "waiting: 56 stalks not reached",
    ]


@pytest.mark.parametrize("code", [0, 125, None])
def test_a_step_that_failed_by_something_else_shows_no_exit_code(code):
    """Its script may have ended well: `exit code 0` next to a cross explains nothing."""
    progress = many(1, 1)
    brief = "s000:n000: an image cannot hold /.wh.x"
    progress.on_event(StepFinished(T, StepId("s000:n000"), 1, "failed", 1.0, code, brief=brief))

    assert texts(final_rows(progress))[-1] == "failed: n000: failed"


def test_what_stays_of_very_many_stalks_is_a_count():
    """Fifty that went well are one line."""
    assert texts(final_rows(many(50, 1, done=range(50)))) == ["done: 50 stalks done"]


def test_a_stalk_that_was_stopped_did_not_fail():
    """After Ctrl-C nothing looks like a mistake of the step."""
    progress = many(1, 2)
    progress.on_event(StepFinished(T, StepId("s000:n000"), 1, "cancelled", 1.0))
    progress.on_event(StepBlocked(T, StepId("s000:n001"), "interrupted"))

    assert texts(final_rows(progress)) == [
        "cancelled: s000  1 cancelled, 1 blocked",
        "cancelled: n000: cancelled",
    ]
