"""What a step leaves outside of its container's layer, or what a commit drops, reaches no other step.

In a Debian, because a busybox has neither sockets nor ACLs to leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from run_space import new_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from run_space import Space

pytestmark = pytest.mark.docker

ACL = "b'\\2\\0\\0\\0' + b''.join(struct.pack('<HHI', *e) for e in ((1,6,2**32-1),(2,6,1234),(4,4,2**32-1),(16,6,2**32-1),(32,4,2**32-1)))"
LOOK = """\
import os, stat
for path in ("/srv/f", "/srv/d", "/srv/sock"):
    try:
        print(path, os.listxattr(path), stat.S_ISSOCK(os.stat(path).st_mode))
    except OSError as error:
        print(path, error.errno)
"""


@pytest.fixture
def space(tmp_path: Path, engine, debian: str) -> Iterator[Space]:
    with new_space(tmp_path, engine, debian) as made:
        yield made


def python(text: str) -> dict[str, object]:
    return {"exec": True, "text": f"#!/usr/bin/python3\n{text}\n"}


def sessions(done) -> list[bool]:
    return [event["is_reused"] for event in done.of("container_started")]


@pytest.mark.parametrize(
    "leave",
    [
        "os.setxattr('/srv/f', 'user.pax.flags', b'm')",
        "os.mkdir('/srv/d'); os.setxattr('/srv/d', 'user.x', b'y')",
        f"import struct; os.setxattr('/srv/f', 'system.posix_acl_access', {ACL})",
        "import socket; socket.socket(socket.AF_UNIX).bind('/srv/sock')",
    ],
    ids=["attribute", "of a directory", "ACL", "socket"],
)
def test_what_a_commit_drops_is_not_seen_by_the_next_step(space, leave):
    """The next step sees the same in the run that made it and in one that goes on from there."""
    space.tree({"s": {}})
    space.stalk(
        "s", {"a": python(f"import os; open('/srv/f', 'w').close(); {leave}"), "b": python(LOOK), "c": "true"}
    )

    done = space.run()

    assert done.code == 0, done.err
    seen = [event["data"] for event in done.of("step_output") if event["step"] == "s:b"]
    assert not sessions(done)[1]
    resumed = space.run("--from", "s:b")
    assert [event["data"] for event in resumed.of("step_output") if event["step"] == "s:b"] == seen
    assert "user.x" not in "".join(seen)
    assert "True" not in "".join(seen)


def test_a_step_that_leaves_nothing_shares_its_container(space):
    """A file, a link, a changed mode and a capability are in the image."""
    space.tree({"s": {}})
    capability = "b'\\1\\0\\0\\2\\0\\4\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0'"
    space.stalk(
        "s",
        {
            "a": python(
                "import os; open('/srv/f', 'w').close(); os.symlink('f', '/srv/l'); os.chmod('/srv', 0o700);"
                f"os.setxattr('/srv/f', 'security.capability', {capability})"
            ),
            "b": python("import os; print(os.listxattr('/srv/f'))"),
        },
    )

    done = space.run()

    assert done.code == 0, done.err
    assert sessions(done) == [False, True]
    assert [event["data"] for event in done.of("step_output")] == ["['security.capability']\n"]
