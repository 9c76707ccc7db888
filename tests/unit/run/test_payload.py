"""How a step's script and files get into a container, run, and leave it again.

The program is plain sh, so it runs here in a folder that `chroot`-less paths point into.
"""

from __future__ import annotations

import subprocess

import pytest
from build import step
from hypothesis import given
from hypothesis import strategies as st

from stalker.model.places import Place
from stalker.model.tree import File
from stalker.run.payload import Report, make_payload

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

    for start, end in zip(edges, edges[1:], strict=False):
        report.feed(whole[start:end], is_stderr=True)
    report.flush()

    assert bytes(passed) == before + after
    assert (report.exit_code, report.left) == (7, 2)


def test_stdout_is_never_taken_for_the_report():
    passed = []
    report = Report("abc", lambda data, err: passed.append((data, err)))

    report.feed(b"\x01stalker:abc:0:0\x01", is_stderr=False)

    assert report.exit_code is None
    assert passed == [(b"\x01stalker:abc:0:0\x01", False)]


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
