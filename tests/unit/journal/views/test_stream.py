"""Foreign bytes do no harm to a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.journal.views.stream import Defuser, clean_line, harmless, last_line
from stalker.model.events import StepFinished
from unit.helpers.story import WEB, T


def defused(*pieces):
    defuser = Defuser()
    return "".join([*map(defuser.feed, pieces), defuser.flush()])


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([b"plain\n\ttab\n"], "plain\n\ttab\n"),
        ([b"\xc3", b"\xa4"], "ä"),
        ([b"\xe6\x97", b"", b"\xa5"], "日"),
        ([b"\xff\xfe"], "\ufffd\ufffd"),
        ([b"\xc3"], "\ufffd"),
        ([b"\x1b[31mred\x1b[0m"], "\x1b[31mred\x1b[0m\x1b[0m"),
        ([b"\x1b", b"[", b"3", b"1mred"], "\x1b[31mred\x1b[0m"),
        ([b"\x1b[2J\x1b]0;title\x07"], "^[[2J^[]0;title^G"),
        ([b"\x1b"], "^["),
        ([b"a\r\nb\r", b"\nc\rd"], "a\nb\nc\nd"),
        ([b"\x00\x08\x7f"], "^@^H^?"),
        (["\x9b2J\u202e".encode()], "\\x9b2J\\u202e"),
    ],
)
def test_what_a_terminal_is_shown(pieces, shown):
    """Text, newlines, tabs and colours stay; all else is made visible."""
    assert defused(*pieces) == shown


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_any_bytes_leave_only_harmless_characters(pieces):
    """Whatever a step writes, a terminal gets no control character but newline, tab and colour."""
    shown = defused(*pieces)

    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.sub(r"\x1b\[[0-9;:]*m", "", shown))


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_cut_changes_nothing(data, place):
    """Where the chunks of an output begin is not seen."""
    assert defused(data[:place], data[place:]) == defused(data)


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\ntwo\n\n  \n", "two"),
        (b"10%\r20%\r", "20%"),
        (b"\x1b[32mgreen\x1b[0m\x1b[K\n", "green"),
        (b"\x1b]0;title\x07text", "text"),
        ("a\tb \u202e\u200bc".encode(), "a   b c"),
        ("日本".encode()[:-1], "日"),
    ],
)
def test_the_last_line_that_says_something(tail, line):
    """Progress bars and blank lines do not hide what a step is at."""
    assert last_line(tail) == line


def test_a_line_is_shown_without_what_cannot_be_seen():
    """Escape sequences are taken out whole."""
    assert clean_line("\x1b[1;31mE:\x1b[0m no\x07 file\x1b(B ") == "E: no file"


def test_names_in_an_event_are_shown_and_the_output_of_programs_is_left():
    """A file's name tells what is in it; of a program's colours nothing is left but the text, later."""
    event = StepFinished(
        T, WEB, 1, "failed", 1.0, brief="no \x1b[31mfile\n", details="\x1b[1mbold", last_lines=("\x1b[1mred",)
    )

    found = harmless(event)

    assert found.brief == r"no \x1b[31mfile\n"
    assert (found.details, found.last_lines) == (event.details, event.last_lines)


def test_an_event_of_plain_names_is_itself():
    """Nearly all are, and nothing is copied."""
    event = StepFinished(T, WEB, 1, "done", 1.0)

    assert harmless(event) is event
