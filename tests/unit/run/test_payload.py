"""How a step's script and files get into a container, run, and leave it again.

The program is plain sh, so it runs here in a folder that `chroot`-less paths point into.
"""

from __future__ import annotations

import itertools
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build import step
from stalker.model.places import Place
from stalker.model.tree import File
from stalker.run.payload import Report, feed_text, make_payload

PLACE = Place("stalks/s/s.hjson", 9)


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(0, 300), max_size=5))
def test_the_report_is_read_out_of_any_cut_of_the_stream(before, after, cuts):
    """What a script writes passes byte for byte, wherever the stream is cut."""
    mark = b"\x01stalker:abc:"
    if mark in before + after or b"\x01" in after:
        return
    whole = before + b"\x01stalker:abc:7:2\x01" + after
    passed = bytearray()
    report = Report("abc", lambda data, _: passed.extend(data))
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]

    for start, end in itertools.pairwise(edges):
        report.feed(whole[start:end], is_stderr=True)
    report.flush()

    assert bytes(passed) == before + after
    assert (report.exit_code, report.left) == (7, 2)


def test_a_program_has_ended_when_both_streams_say_so():
    """The streams are two pipes: what is last on one may come after the end of the other."""
    passed = []
    report = Report("abc", lambda data, err: passed.append((data, err)))

    report.feed(b"\x01stalker:abc:0:0\x01\x01stalker:abc:end\x01", is_stderr=True)
    before = report.has_ended
    report.feed(b"late\n\x01stalker:abc:end\x01", is_stderr=False)

    assert (before, report.has_ended, report.exit_code) == (False, True, 0)
    assert passed == [(b"late\n", False)]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_fed_program_runs_as_one_of_its_own(shell):
    """Arguments and environment come as they are; nothing of it stays in the shell; it gets no input."""
    awkward = 'it\'s "$HOME" \\ `x`\n\ttwo'
    program = ("/bin/sh", "-c", 'printf "%s|%s|" "$1" "$VALUE"; cat; left=1; exit 3', "stalker", awkward)

    text = feed_text(program, {"VALUE": awkward}, "/tmp", "abc")

    done = subprocess.run(
        [shell], input=text + b'echo "${left-clean} ${VALUE-clean}"', capture_output=True, check=True
    )
    end = b"\x01stalker:abc:end\x01"
    assert done.stdout == f"{awkward}|{awkward}|".encode() + end + b"clean clean\n"
    assert done.stderr == end


def test_a_missing_host_file_is_named():
    from stalker.errors import EngineError

    gone = File("/x", "sysroot", "d", PLACE, host_path="/nonexistent/x")

    with pytest.raises(EngineError, match="could not read /nonexistent/x"):
        make_payload(step("s", files=(gone,)), {}, "abc")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_program_is_sh_that_any_shell_takes(shell):
    made = make_payload(
        step(
            "s",
            files=(File("/tmp/it's $HOME", "f", "d", PLACE, content=b"'\"$`\\\n"),),
            copies=(File("/etc/x", "c", "d", PLACE, content=b"\0"),),
            late_copies=(File("/etc/y", "c", "d", PLACE, content=b"y"),),
        ),
        {},
        "abc",
    )

    for program in (made.whole, made.enter, made.run, made.leave):
        subprocess.run([shell, "-n", "-c", program[2]], check=True)
    assert made.archive
