"""Transfers are bars in a terminal and lines elsewhere, and nothing of what is quick."""

import io
import sys

import pytest

from stalker.io.progress import Group, Task
from stalker.journal.views.transfers import EVERY_S, Transfers


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def moved(task, clock, *steps):
    """Let time pass and bytes come."""
    for now_s, count in steps:
        clock.now_s = 100.0 + now_s
        task.add(count)


def test_without_a_terminal_a_line_comes_from_time_to_time(capsys, clock):
    """One at the start, and one at the end."""
    shown = Transfers(is_terminal=False, clock=clock)
    task = Task("writing", shown, 1000, clock=clock)
    moved(task, clock, (1, 100), (EVERY_S, 100), (EVERY_S + 1, 100))
    task.end(1000)

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"stalker: writing: {share}%" for share in (0, 20, 100)
    ]


def test_what_is_quick_is_not_shown(capsys, clock):
    """A cache that has it needs no bar."""
    for is_terminal in (False, True):
        shown = Transfers(2 * EVERY_S, is_terminal, clock)
        task = Task("reading", shown, 10, clock=clock)
        moved(task, clock, (EVERY_S + 1, 5))
        task.end(10)
        shown.end()

    assert capsys.readouterr().err == ""


def test_downloads_are_shown_with_all_of_them(capsys, clock):
    """One line for what moved last and for the whole."""
    shown = Transfers(1.0, is_terminal=False, clock=clock)
    group = Group("all", ["a\x1b[31m", "b"], shown, clock=clock)
    moved(group.parts[0], clock, (EVERY_S, 500))

    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line
    assert line.startswith("stalker: a")
    assert "; all: 500 B" in line


def test_a_terminal_has_bars_that_go_at_the_end(clock, monkeypatch):
    """The cursor is there again, and a line that is printed meanwhile stays above."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    shown = Transfers(clock=clock)
    group = Group("all", ["a", "b"], shown, clock=clock)
    moved(group.parts[1], clock, (1, 500))
    shown.say("one more thing")
    shown.end()

    text = screen.getvalue()
    assert "stalker: one more thing" in text
    assert "b" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0
    assert sys.stderr is screen


def test_the_next_task_takes_the_place_of_the_last(clock, monkeypatch):
    """Two bars stand there at once only for what comes at once."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    shown = Transfers(clock=clock)
    moved(Task("reading", shown, 10, clock=clock), clock, (1, 5))
    moved(Task("writing", shown, 10, clock=clock), clock, (2, 5))
    shown.end()

    assert "reading" not in screen.getvalue().partition("writing")[2]


def test_bars_go_when_all_is_done(clock, monkeypatch):
    """What is printed later is not above a bar; one part that is done leaves the others."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    one, other = Group("all", ["a", "b"], Transfers(clock=clock), clock=clock).parts

    one.end(5)
    assert sys.stderr is not screen
    other.end(7)
    assert sys.stderr is screen


def test_the_last_line_is_printed_once(capsys, clock):
    """The last piece makes it complete; its end, and nothing more, are no news."""
    with Transfers(is_terminal=False, clock=clock) as shown:
        task = Task("writing", shown, 10, clock=clock)
        moved(task, clock, (1, 10), (2 * EVERY_S, 0))
        task.end(10)

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["stalker: writing: 0%", "stalker: writing: 100%"]
