"""Names of any bytes: files arrive under them, and what is shown of them is harmless in any encoding."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"
NAMES = {
    b"new\nline": r"new\nline",
    b"esc\x1b[31m": r"esc\x1b[31m",
    b"latin\xff": r"latin\xff",
    "\u202ertl".encode(): r"\u202ertl",
    b"quote'\"$HOME`id`%s\\": "quote'\"$HOME`id`%s\\",
    "gr\u00f6\u00dfe".encode(): "gr\u00f6\u00dfe",
}
LOOK = "cd /opt; for f in *; do printf '%s|' \"$f\"; done"


@pytest.fixture
def named(workspace):
    """A workspace whose sysroot has files of such names."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"look": LOOK})
    folder = workspace.path / "sysroot/opt"
    folder.mkdir(parents=True)
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"content\n")
    return workspace


def bytes_of(space, *arguments, **environ):
    done = subprocess.run(
        space.command(*arguments),
        cwd=space.path,
        env=space.environ(**environ),
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_files_arrive_under_their_names_and_the_log_has_them_byte_for_byte(named):
    done = named.run()

    assert done.code == 0, done.err
    assert set(named.log("s", "look").rstrip(b"|").split(b"|")) == set(NAMES)
    assert bytes_of(named, "log", "s:look", "--tree", "t") == named.log("s", "look")


@pytest.mark.parametrize("environ", [{}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_plan_shows_names_escaped(named, environ):
    """Each reason is one line, and nothing in it does anything to a terminal."""
    assert named.run().code == 0
    told = b""
    for name in NAMES:  # a reason names the first few
        file = Path(os.fsdecode(os.path.join(os.fsencode(named.path), b"sysroot/opt", name)))
        before = file.read_bytes()
        file.write_bytes(before + b"more\n")
        told += bytes_of(named, "plan", TREE, **environ)
        assert bytes_of(named, "graph", TREE, "--format", "dot", **environ)
        file.write_bytes(before)
    assert named.run(**environ).code == 0

    lines = told.decode(environ.get("PYTHONIOENCODING", "utf-8")).split("\n")
    assert len([line for line in lines if "changed" in line]) == len(NAMES)
    assert all(line.isprintable() for line in lines)
    for name in list(NAMES.values())[:4]:
        assert any(f"/opt/{name} changed" in line for line in lines), lines


def test_a_run_whose_events_cannot_be_written_ends_with_1(named):
    """What was made stays; a program that reads the events must not take them for whole."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            named.command("run", TREE, "--json"),
            cwd=named.path,
            env=named.environ(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.endswith("stalker: No space left on device: not all of the output could be written\n")
    assert set(named.run().verdicts.values()) == {"REUSE"}


def test_a_run_whose_events_are_read_no_more_ends_quietly(named):
    """`stalker run TREE --json | head -1`"""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        done = subprocess.run(
            named.command("run", TREE, "--json", "--quiet"),
            cwd=named.path,
            env=named.environ(),
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, b"")
