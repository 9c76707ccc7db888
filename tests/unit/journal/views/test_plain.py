"""A run in a pipe: one plain line an event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.journal.views.plain import PlainView
from stalker.model.events import BaseProgress, Note, RunFinished, StepFinished
from unit.helpers.story import IMAGE, WEB, T, idle_story, run_started, story
from unit.helpers.streams import FakeTerminal, Pipe

WHOLE = """\
warning: sysroot: no such folder
plan: 4 steps to run, 1 reused
base:initial  getting image debian:bookworm-slim
base:initial  pulling
base:initial  done in 1.0 s
web:nginx  running
db:pg  running
web:nginx  failed with exit code 1 after 1.0 s, trying again in 0.5 s
db:pg  failed with exit code 7 after 1.1 s
  | password hunter2
  | no space
  log: logs/db/a-b-pg-1.txt
  look inside: stalker shell db:pg.failed --tree trees/x/x.hjson
db:dump  blocked: db:pg failed
web:nginx  running (attempt 2)
web:nginx  done in 1.1 s
web:tune  running
web:tune  done in 0.5 s
failed: 2 steps ran, 1 reused, 1 failed (db:pg), 1 blocked in 4.7 s
"""

RESULTS = """\
warning: sysroot: no such folder
web:nginx  failed with exit code 1 after 1.0 s, trying again in 0.5 s
db:pg  failed with exit code 7 after 1.1 s
  | password hunter2
  | no space
  log: logs/db/a-b-pg-1.txt
  look inside: stalker shell db:pg.failed --tree trees/x/x.hjson
failed: 2 steps ran, 1 reused, 1 failed (db:pg), 1 blocked in 4.7 s
"""


def shown(events, stream=None, **how):
    stream = stream or Pipe()
    view = PlainView(stream, **how)
    for event in events:
        view.on_event(event)
    view.close()
    return stream.text


def test_a_run_is_told_in_plain_lines():
    """Each event is a line; a failure shows its last lines, its log, and how to look inside."""
    assert shown(story()) == WHOLE


def test_results_alone_are_what_went_wrong_and_the_end():
    """Beside a step's own output, only that is said."""
    assert shown(story(), detail="results") == RESULTS


def test_a_run_with_nothing_to_do_is_one_line():
    """So it is in a pipe, however many steps there are."""
    assert shown(idle_story(12)) == "nothing to do: 12 steps are there (0.1 s)\n"


def test_a_quiet_run_that_went_well_says_nothing():
    """--quiet is for errors only."""
    assert shown(idle_story(), detail="errors") == ""


@pytest.mark.parametrize("colour", [True, False])
def test_a_pipe_never_gets_escape_codes(colour):
    """Colours are for terminals, and not even in what a step wrote is there one."""
    finish = StepFinished(T, WEB, 1, "failed", 1.0, 7, last_lines=("\x1b[31mred\x1b[0m\x07",))

    assert "\x1b" not in shown([*story(), finish], colour=colour)


def test_a_terminal_gets_colours_unless_it_wants_none():
    """What failed is red."""
    events = story()

    assert "\x1b[31mfailed with exit code 7" in shown(events, FakeTerminal(), colour=True)
    assert "\x1b" not in shown(events, FakeTerminal(), colour=False)


@pytest.mark.parametrize(
    ("finish", "line"),
    [
        ({"state": "timeout", "exit_code": None}, "web:nginx  ran out of time after 1 min 15 s"),
        ({"state": "cancelled", "exit_code": None}, "web:nginx  cancelled after 1 min 15 s"),
        (
            {"state": "failed", "exit_code": 0, "brief": "web:nginx: no space left"},
            "web:nginx  failed after 1 min 15 s: no space left",
        ),
        (
            {"state": "failed", "exit_code": 7, "brief": "web:nginx failed with exit code 7"},
            "web:nginx  failed with exit code 7 after 1 min 15 s",
        ),
    ],
)
def test_how_an_attempt_ended(finish, line):
    """Time, a signal, a full disk and an exit code are told apart."""
    event = StepFinished(T, WEB, 1, duration_s=75.0, **finish)

    assert shown([event]).splitlines()[0] == line


def test_a_resolution_replaces_the_usual_hint():
    """Who failed knows best what to do."""
    event = StepFinished(T, WEB, 1, "failed", 1.0, 7, image=IMAGE, resolution="free some space")

    assert shown([run_started(), event]).splitlines()[1:] == ["  free some space"]


@pytest.mark.parametrize(
    ("exit_code", "failed", "is_told"),
    [(3, (), True), (3, (WEB,), True), (1, (WEB,), False), (130, (), False)],
)
def test_what_ended_a_run_is_told_once(exit_code, failed, is_told):
    """An engine that went away is named with what to do; a failed step has been told already."""
    end = RunFinished(T, "r1", exit_code, 1, 0, failed, (), 1.0, "the engine went away", "why", "start it")

    lines = shown([end]).splitlines()

    assert (lines[:-1] == ["error: the engine went away", "  why", "  start it"]) is is_told


def test_an_engine_that_went_away_in_a_step_is_told_with_the_step_alone():
    """The same sentence does not stand there twice."""
    end = RunFinished(T, "r1", 3, 1, 0, (WEB,), (), 1.0, "web:nginx: the engine went away", "why", "start it")

    assert shown([end]) == "failed: 1 step ran, 1 failed (web:nginx) in 1.0 s\n"


def test_an_interrupted_run_says_so():
    """Exit 130 is not a failure."""
    end = RunFinished(T, "r1", 130, 1, 2, (), (), 3.2, "interrupted")

    assert shown([end]) == "interrupted: 1 step ran, 2 reused in 3.2 s\n"


def test_progress_of_a_base_is_told_now_and_then():
    """A pull that reports ten times a second is a line every ten seconds."""
    events = [BaseProgress(T + number / 10, "base", f"{number}") for number in range(250)]

    assert len(shown(events).splitlines()) == 3


def test_a_closed_pipe_never_ends_the_run():
    """`stalker run x | head -1` goes on."""
    stream = Pipe()
    view = PlainView(stream)
    stream.buffer.close()

    for event in story():
        view.on_event(event)


def test_a_stream_without_unicode_still_gets_the_line():
    """In the C locale an umlaut is written by its number."""
    assert shown([Note(T, "Gerät")], Pipe("ascii")) == "Ger\\xe4t\n"


def test_events_without_a_plan_are_told_too():
    """Nothing depends on what came before."""
    for event in story():
        assert shown([replace(event)]) is not None


def test_a_name_in_a_message_is_shown_on_a_terminal_and_in_a_pipe():
    """A line break in the name of a file does not begin a line of ours, and a colour of it is not one."""
    note = Note(T, "file \x1b[31mred\nweb:nginx  done\u202e changed", "warning")
    said = "file \\x1b[31mred\\nweb:nginx  done\\u202e changed\n"

    assert shown([note]) == f"warning: {said}"
    assert shown([note], FakeTerminal(), colour=True).endswith(said)
