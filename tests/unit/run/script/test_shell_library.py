"""The library of shell functions: sh that any shell takes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from build import step
from stalker.model.diagnostics import Place
from stalker.model.tree import File
from stalker.run.script.payload import Start, make_payload, probe_program, session_program
from stalker.run.script.shell_library import LIBRARY

PLACE = Place("stalks/s/s.hjson", 9)
SHELLS = [["dash"], ["bash"], ["busybox", "sh"]]


def file(target, content=b"x", **more):
    return File(target, "f", "d", PLACE, content=content, **more)


def made(*files, start=None, secrets=None, **more):
    return make_payload(step("s", files=files, **more), secrets or {}, "abc", start or Start({}))


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_every_program_is_sh_that_any_shell_takes(shell):
    """Names and contents are quoted, whatever is in them."""
    if shutil.which(shell[0]) is None:
        pytest.fail(f"{shell[0]} is not installed")
    payload = made(
        file("/tmp/it's $HOME", b"'\"$`\\\n"),
        file("/etc/hosts"),
        file("/etc/new\nline"),
        copies=(file("/etc/x", b"\x01"),),
        late_copies=(file("/etc/y"),),
        start=Start({"A": "it's\n`b`"}, "/some dir", "ann:users", tty=True, stubs=("/opt", "/opt/a b")),
    )

    for program in (
        payload.whole,
        payload.enter,
        payload.leave,
        payload.abandon,
        session_program(["/run", "/a b"]),
        probe_program(["/x", "-n"], "abc"),
        LIBRARY,
    ):
        done = subprocess.run([*shell, "-n"], input=program.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
