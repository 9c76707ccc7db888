"""--watch_stdout: what each step writes, one after the other."""

from __future__ import annotations

from stalker.journal.views.plain import PlainView
from stalker.journal.views.stream import Sink
from stalker.journal.views.watch import WatchView
from stalker.model.events import RunFinished, StepFinished, StepOutput, StepStarted
from unit.helpers.story import DB, TUNE, WEB, T, story
from unit.helpers.streams import FakeTerminal, Pipe


class Deaf:
    """An observer that keeps what it receives."""

    def __init__(self):
        self.told = []

    def on_event(self, event):
        self.told.append(event)


def out(step, data, stream="stdout"):
    return StepOutput(T, step, data, stream)


def start(step, attempt=1):
    return StepStarted(T, step, attempt, "l.txt")


def done(step, attempt=1):
    return StepFinished(T, step, attempt, "done", 1.0)


def watch(events, stream=None):
    stream = stream or Pipe()
    view = WatchView(stream, Deaf())
    for event in events:
        view.on_event(event)
    return stream.data


def rule(name):
    return f"---- {name} ".ljust(80, "-") + "\n\n"


def test_each_step_stands_under_a_ruled_line_with_its_name():
    """80 columns, a blank line, the output, a blank line."""
    shown = watch([start(WEB), out(WEB, b"hello\n"), done(WEB), start(TUNE), out(TUNE, b"x"), done(TUNE)])

    assert shown.decode() == rule("web:nginx") + "hello\n\n" + rule("web:tune") + "x\n\n"
    assert len(shown.decode().splitlines()[0]) == 80


def test_steps_at_the_same_time_are_shown_in_turn():
    """The first is seen live, the second is kept and then goes on live, lines whole."""
    stream = Pipe()
    view = WatchView(stream, Deaf())
    for event in [start(WEB), start(DB), out(WEB, b"web "), out(DB, b"db 1\n"), out(WEB, b"1\n")]:
        view.on_event(event)
    assert stream.text == rule("web:nginx") + "web 1\n"

    view.on_event(done(WEB))
    assert stream.text == rule("web:nginx") + "web 1\n\n" + rule("db:pg") + "db 1\n"

    view.on_event(out(DB, b"db 2\n"))
    assert stream.text.endswith("db 1\ndb 2\n")


def test_a_step_that_ended_meanwhile_is_shown_before_one_that_goes_on():
    """Its output waits no longer than it must."""
    events = [
        start(WEB),
        start(DB),
        start(TUNE),
        out(DB, b"db\n"),
        out(TUNE, b"tune\n"),
        done(TUNE),
        done(WEB),
    ]

    shown = watch(events).decode()

    assert shown == rule("web:nginx") + "\n" + rule("web:tune") + "tune\n\n" + rule("db:pg") + "db\n"


def test_a_pipe_gets_the_bytes_unchanged():
    """Binary output can be taken from the pipe as it was written."""
    data = bytes(range(256)) + b"\n"

    assert watch([start(WEB), out(WEB, data), done(WEB)]) == rule("web:nginx").encode() + data + b"\n"


def test_a_terminal_is_shown_characters_that_came_in_two_pieces():
    """Split UTF-8 is whole again; stdout and stderr do not cut each other."""
    events = [
        start(WEB),
        out(WEB, b"\xc3"),
        out(WEB, b"\xc3", "stderr"),
        out(WEB, b"\xa4"),
        out(WEB, b"\xb6\n", "stderr"),
    ]

    assert watch([*events, done(WEB)], FakeTerminal()).decode() == rule("web:nginx") + "äö\n\n"


def test_binary_output_does_no_harm_to_a_terminal():
    """No control character reaches it, also not from output that was kept."""
    data = bytes(range(256))
    events = [start(WEB), start(DB), out(WEB, data), out(DB, data), done(WEB), done(DB)]

    shown = watch(events, FakeTerminal())

    assert not set(shown) & (set(range(32)) - set(b"\n\t"))


def test_output_of_megabytes_that_must_wait_is_shown_whole():
    """What does not fit in memory waits in a file."""
    block = b"0123456789abcdef" * 65536
    events = [start(WEB), start(DB), *[out(DB, block)] * 3, done(WEB), done(DB)]

    assert watch(events).count(b"0123456789abcdef") == 3 * 65536


def test_a_second_attempt_has_its_own_line():
    """The output of attempts does not run together."""
    shown = watch([start(WEB), out(WEB, b"1\n"), done(WEB), start(WEB, 2), out(WEB, b"2\n"), done(WEB, 2)])

    assert shown.decode() == rule("web:nginx") + "1\n\n" + rule("web:nginx (attempt 2)") + "2\n\n"


def test_what_a_service_says_later_is_shown_at_the_end():
    """It never keeps others from being seen."""
    end = RunFinished(T, "r1", 0, 2, 0, (), (), 1.0)
    events = [
        start(DB),
        out(DB, b"up\n"),
        done(DB),
        out(DB, b"served\n"),
        start(WEB),
        out(WEB, b"w\n"),
        done(WEB),
        end,
    ]

    shown = watch(events).decode()

    assert shown == "".join(
        (rule("db:pg"), "up\n\n", rule("web:nginx"), "w\n\n", rule("db:pg (service)"), "served\n\n")
    )


def test_all_other_events_reach_the_view_beside():
    """Messages are not lost while output is watched."""
    beside = Deaf()
    view = WatchView(Pipe(), beside)

    for event in story():
        view.on_event(event)

    assert beside.told == [event for event in story() if not isinstance(event, StepOutput)]


def test_a_message_never_starts_in_the_middle_of_a_line_of_output():
    """Stdout and stderr are one terminal."""
    screen = FakeTerminal()
    stdout = Sink(screen)
    view = WatchView(stdout, PlainView(Sink(screen, stdout), detail="results"))
    for event in [start(WEB), start(DB), out(WEB, b"half")]:
        view.on_event(event)

    view.on_event(StepFinished(T, DB, 1, "timeout", 5.0))

    assert screen.text == rule("web:nginx") + "half\ndb:pg  ran out of time after 5.0 s\n"


def test_a_stopped_run_shows_what_was_kept():
    """Closing leaves nothing unseen."""
    stream = Pipe()
    view = WatchView(stream, Deaf())
    for event in [start(WEB), start(DB), out(DB, b"db\n")]:
        view.on_event(event)

    view.close()

    assert stream.text == rule("web:nginx") + "\n" + rule("db:pg") + "db\n\n"
