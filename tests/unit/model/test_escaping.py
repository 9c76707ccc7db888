"""What people read of foreign text is harmless and tells what is there."""

from __future__ import annotations

import pytest

from stalker.model.diagnostics import Place, Problem
from stalker.model.escaping import shown, shown_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("/opt/plain é 漢", "/opt/plain é 漢"),
        ("new\nline", r"new\nline"),
        ("tab\tcr\r", r"tab\tcr\r"),
        ("esc\x1b[31m", r"esc\x1b[31m"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202ertl", r"\u202ertl"),
        ("\u2066\u200f\u2028\ufeff", r"\u2066\u200f\u2028\ufeff"),
        ("latin\udcff", r"latin\xff"),
        ("half\ud800", r"half\ud800"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_is_not_printable_is_shown_by_its_number(text, expected):
    assert shown(text) == expected
    assert shown(text).encode("utf-8").decode() == expected


def test_the_lines_of_a_text_stay():
    """Details of an error are several lines; nothing else of them reaches a terminal."""
    assert shown_lines("a\n\tb\x1b[2J\n") == "a\n\tb\\x1b[2J\n"


def test_a_problem_names_its_file_on_one_line():
    """A file whose name has a line break cannot make up a problem of another one."""
    problem = Problem(Place("sysroot/a\nb.hjson", 2, 3), "bad \x1b", "do\nthis")

    assert str(problem) == "sysroot/a\\nb.hjson:2:3: bad \\x1b\n  do\nthis"
