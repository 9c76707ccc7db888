"""The live view, seen through a pseudo-terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stalker.journal.views.live import LiveView
from stalker.model.events import BaseStarted, Note, Planned, PlannedStep, RunFinished, StepOutput, StepStarted
from stalker.model.tree import StepId
from unit.helpers.story import TUNE, T, idle_story, run_started, story
from unit.helpers.streams import Terminal

SIZES = [(40, 12), (100, 24)]


@pytest.fixture
def terminal(request):
    terminal = Terminal(*getattr(request, "param", (100, 24)))
    yield terminal
    terminal.close()


class Watched:
    """A live view on a terminal, with a clock that stands at the last event."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.now = T
        self.view = LiveView(terminal.stream, clock=lambda: self.now)

    def tell(self, *events):
        for event in events:
            self.now = event.at
            self.view.on_event(event)
        if self.view._live:
            self.view._live.refresh()
        return self.terminal.show()


@pytest.fixture
def watched(terminal):
    watched = Watched(terminal)
    yield watched
    watched.view.close()


def without_spinner(lines):
    return ["".join("@" if char in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" else char for char in line) for line in lines]


@pytest.mark.parametrize(
    ("terminal", "picture"),
    [
        (
            (40, 12),
            """\
warning: sysroot: no such folder
✓ base  1 step, all there
 web                                0/2
  @ nginx                         0.7 s
   │ fetching
  · tune
 db                                 0/2
  @ pg                            0.6 s
  · dump
2.1 s: 1/5, 2 running, >4.4 s left""",
        ),
        (
            (100, 24),
            """\
warning: sysroot: no such folder
✓ base  1 step, all there
  web                                                                                           0/2
    @ nginx                                                                 0.7 s, about 2.3 s left
      │ fetching
    · tune
  db                                                                                            0/2
    @ pg                                                                    0.6 s, about 4.4 s left
    · dump
2.1 s: 1 of 5 there, 2 running, at least 4.4 s left""",
        ),
    ],
    indirect=["terminal"],
)
def test_a_run_with_two_branches(watched, picture):
    """Stalks and steps as a tree, with times, what is left, and what they say."""
    events = story()[:15]

    shown = watched.tell(*events, Note(T + 2.1, ""))

    assert [line for line in without_spinner(shown) if line] == picture_lines(picture)


def picture_lines(picture):
    return [line for line in picture.splitlines() if line]


@pytest.mark.parametrize("terminal", SIZES, indirect=True)
def test_the_end_leaves_the_result_on_the_screen(watched, terminal):
    """One line a stalk, the failure with its last lines, the sum; the cursor is back."""
    shown = watched.tell(*story())

    text = "".join(shown)
    assert "| no space" in text
    assert "stalker shell db:pg.failed --tree trees/x/x.hjson" in text
    assert not terminal.screen.cursor.hidden
    if terminal.screen.columns == 100:
        assert shown[1:6] == [
            "  ✓ web  2 steps" + "1.6 s".rjust(83),
            "  ✗ db  1 failed, 1 blocked" + "1.1 s".rjust(72),
            "    ✗ pg: exit code 7" + "1.1 s".rjust(78),
            "✓ 1 stalk already there",
            "db:pg  failed with exit code 7 after 1.1 s",
        ]
        assert shown[-1] == "failed: 2 steps ran, 1 reused, 1 failed (db:pg), 1 blocked in 4.7 s"


@pytest.mark.parametrize("terminal", SIZES, indirect=True)
def test_a_hundred_branches_fit_on_the_screen(watched, terminal):
    """What runs is seen, the rest is counted, and nothing scrolls away."""
    steps = [StepId(f"stalk_number_{number}:build_it") for number in range(100)]
    watched.tell(run_started(), Planned(T, tuple(PlannedStep(step, "RUN", "") for step in steps)))
    for turn in range(20):
        watched.tell(StepStarted(T, steps[90], turn + 1, ""), StepOutput(T, steps[90], b"line %d\n" % turn))

    shown = watched.tell(StepStarted(T, steps[95], 1, ""))

    assert len(shown) <= terminal.screen.lines
    assert sum("build_it" in line for line in shown) == 2
    assert any("line 19" in line for line in shown)
    assert "more" in shown[-2]
    assert len(terminal.screen.history.top) == 0


@pytest.mark.parametrize("terminal", SIZES, indirect=True)
def test_no_line_wraps(watched, terminal):
    """Wide characters and long names are cut at the edge."""
    watched.tell(run_started(), StepStarted(T, StepId("s:" + "n" * 200), 1, ""))

    shown = watched.tell(StepOutput(T, StepId("s:" + "n" * 200), ("日本語" * 100).encode()))

    assert len(shown) == 4
    assert [line.strip()[-1] for line in shown[1:3]] in (["s", "…"], ["…", "…"])


def test_control_characters_of_a_step_do_not_reach_the_terminal(watched, terminal):
    """A step cannot clear the screen, ring, or set the title."""
    watched.tell(run_started(), StepStarted(T, TUNE, 1, ""))

    shown = watched.tell(StepOutput(T, TUNE, b"be\x07fore \x1b[2J\x1b[31mafter\x1b]2;title\x07\x00\n"))

    assert any("│ before after" in line for line in shown)
    assert b"\x07f" not in terminal.raw
    assert b"title" not in terminal.raw


def test_a_terminal_that_shrinks_is_drawn_small(watched, terminal):
    """The size is asked for each time."""
    watched.tell(*story()[:15])
    terminal.resize(40, 12)

    shown = watched.tell(Note(T + 2, ""))

    assert max(map(len, shown[-3:])) <= 40


def test_warnings_stand_above_the_tree(watched):
    """They stay while the tree is drawn again."""
    watched.tell(*story()[:15], Note(T + 2, "clock is off", "warning"))

    shown = watched.tell(Note(T + 2, "something"))

    above = shown.index("warning: clock is off")
    assert above < next(number for number, line in enumerate(shown) if "nginx" in line)
    assert sum("nginx" in line for line in shown) == 1


def test_a_run_with_nothing_to_do_is_one_line_and_needs_no_rich(terminal):
    """Nothing is drawn, so nothing is imported for drawing."""
    program = (
        "import sys; from stalker.journal.views.live import LiveView; from unit.helpers.story import idle_story\n"
        "view = LiveView(sys.stderr)\n"
        "for event in idle_story(): view.on_event(event)\n"
        "print('rich' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        stderr=terminal.stream,
        text=True,
    )

    assert done.stdout == "False\n"
    assert terminal.show() == ["nothing to do: 12 steps are there (0.1 s)"]


@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "raise SystemExit(1)", "1/0"])
def test_the_cursor_comes_back_however_the_program_ends(terminal, end):
    """Nobody has to type `reset` after Ctrl-C."""
    program = (
        "import sys; from stalker.journal.views.live import LiveView; from unit.helpers.story import story\n"
        "view = LiveView(sys.stderr)\n"
        "for event in story()[:15]: view.on_event(event)\n" + end
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", "TERM": "xterm"}

    subprocess.run([sys.executable, "-c", program], env=env, check=False, stderr=terminal.stream)

    terminal.show()
    assert b"\x1b[?25l" in terminal.raw
    assert not terminal.screen.cursor.hidden


def test_ctrl_c_leaves_a_whole_picture(terminal):
    """The interrupted run ends with its sum, and the echo of ^C spoils nothing."""
    program = (
        "import select, sys, time; from stalker.journal.views.live import LiveView\n"
        "from stalker.model.events import RunFinished; from unit.helpers.story import story\n"
        "view = LiveView(sys.stderr)\n"
        "for event in story()[:15]: view.on_event(event)\n"
        "try:\n"
        "    print('up', flush=True)\n"
        "    while True: select.select([], [], [], 0.05)\n"
        "except KeyboardInterrupt: view.on_event(RunFinished(time.time(), 'r', 130, 1, 2, (), (), 3.0))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", "TERM": "xterm"}
    running = subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=terminal.stream, text=True
    )
    with running:
        assert running.stdout.readline() == "up\n"
        terminal.stream.write("^C")
        terminal.stream.flush()
        running.send_signal(signal.SIGINT)

    shown = terminal.show()
    assert running.returncode == 0
    assert shown[-1] == "interrupted: 1 step ran, 2 reused in 3.0 s"
    assert sum("nginx" in line for line in shown) == 0


def test_events_from_many_threads_never_block(terminal):
    """Drawing and telling do not wait for each other in a circle."""
    from concurrent.futures import ThreadPoolExecutor

    view = LiveView(terminal.stream, clock=lambda: T)
    view.on_event(run_started())

    def work(number):
        step = StepId(f"s{number}:n")
        view.on_event(BaseStarted(T, f"s{number}", "x"))
        view.on_event(StepStarted(T, step, 1, ""))
        for turn in range(20):
            view.on_event(StepOutput(T, step, b"%d\n" % turn))
            view.on_event(Note(T, f"{number} {turn}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8), timeout=60))
    view.on_event(RunFinished(T, "r1", 0, 8, 0, (), (), 1.0))

    assert terminal.show()[-1] == "done: 8 steps ran in 1.0 s"


def test_after_the_end_events_change_nothing(watched):
    """A late word of a thread draws no second picture."""
    before = watched.tell(*story())

    assert watched.tell(*idle_story(), StepStarted(T, TUNE, 1, "")) == before
