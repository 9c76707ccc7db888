"""What the shell in a container reports, read out of the streams of a step."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.run.script.report import Report, Trouble, Usage


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(0, 300), max_size=5))
def test_the_report_is_read_out_of_any_cut_of_the_stream(before, after, cuts):
    """What a script writes passes byte for byte, wherever the stream is cut."""
    mark = b"\x01stalker:abc:"
    if mark in before + after or b"\x01" in after:
        return
    whole = before + b"\x01stalker:abc:done:7:2:1\x01" + after
    passed = bytearray()
    report = Report("abc", lambda data, _: passed.extend(data))
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]

    for start, end in itertools.pairwise(edges):
        report.feed(whole[start:end], is_stderr=True)
    report.flush()

    assert bytes(passed) == before + after
    assert (report.exit_code, report.left, report.is_clean) == (7, 2, True)


def test_a_program_has_ended_when_both_streams_say_so():
    """The streams are two pipes: what is last on one may come after the end of the other."""
    passed = []
    report = Report("abc", lambda data, err: passed.append((data, err)))

    report.feed(b"\x01stalker:abc:done:0:0:1\x01\x01stalker:abc:end\x01", is_stderr=True)
    before = report.has_ended
    report.feed(b"late\n\x01stalker:abc:end\x01", is_stderr=False)

    assert (before, report.has_ended, report.exit_code) == (False, True, 0)
    assert passed == [(b"late\n", False)]


def test_the_exit_code_is_that_of_the_script():
    """What undoes the placing in a program of its own reports too."""
    report = Report("abc", lambda _data, _err: None)

    report.feed(b"\x01stalker:abc:exit:3\x01", is_stderr=False)
    report.feed(b"\x01stalker:abc:done:0:1:0\x01", is_stderr=True)

    assert (report.exit_code, report.left, report.is_clean, report.is_done) == (3, 1, False, True)


def test_what_hinders_a_script_and_what_it_left_are_told_apart():
    """Paths come whole, with colons and bytes that are not text."""
    report = Report("abc", lambda _data, _err: None)

    report.feed(b"\x01stalker:abc:left:2:a:b:/x:y\n/z\xff\x01", is_stderr=True)
    report.feed(b"\x01stalker:abc:kept:/opt/a b\x01\x01stalker:abc:bad\x01", is_stderr=True)
    report.feed(b"\x01stalker:abc:variable:UID\x01", is_stderr=True)

    assert report.survivors == [(2, "a", "b:/x:y\n/z\udcff")]
    assert report.kept == ["/opt/a b"]
    assert not report.is_undone
    assert (report.trouble, report.exit_code) == (Trouble("variable", "UID"), 125)


@pytest.mark.parametrize(
    ("marks", "usage"),
    [
        ([], Usage()),
        (["used:5:100"], Usage()),
        (["used:1000000000:100", "used:3500000000:4096"], Usage(2.5, 4096)),
        (["used:1000000000:4096", "used:1000000000:4096"], Usage(0.0, 4096, memory_at_most=True)),
        (["used:0:", "used:250000000:"], Usage(0.25)),
        (["used::9", "used:x:9"], Usage()),
    ],
)
def test_usage_is_what_the_container_used_meanwhile(marks, usage):
    """The kernel counts for the container as a whole; memory that did not grow is only an upper bound."""
    report = Report("abc", lambda _data, _err: None)

    for mark in marks:
        report.feed(f"\x01stalker:abc:{mark}\x01".encode(), is_stderr=True)

    assert report.usage == usage
