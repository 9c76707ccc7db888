"""file.line: put a line into a text file, replace one, or take it out."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

SSHD = "# comment\nPermitRootLogin yes\nPort 22\nPermitRootLogin maybe\n"

CHANGES = [
    ("a new line goes to the end", "a\nb\n", {"line": "c"}, "a\nb\nc\n"),
    ("a last line without an end gets one", "a\nb", {"line": "c"}, "a\nb\nc\n"),
    ("an empty file takes a line", "", {"line": "c"}, "c\n"),
    ("a line that is there stays alone", "a\nb\n", {"line": "a"}, "a\nb\n"),
    ("part of a line is not the line", "abc\n", {"line": "b"}, "abc\nb\n"),
    (
        "the first match is replaced, others go",
        SSHD,
        {"line": "PermitRootLogin no", "match": "^PermitRootLogin "},
        "# comment\nPermitRootLogin no\nPort 22\n",
    ),
    ("no match: at the end", "a\n", {"line": "c", "match": "^x"}, "a\nc\n"),
    ("matches go where the line is already", "c\nx=1\n", {"line": "c", "match": "^x="}, "c\n"),
    ("the line itself may match", "x=1\nx=2\n", {"line": "x=2", "match": "^x="}, "x=2\n"),
    ("a line goes, each time it stands there", "a\nb\na\n", {"line": "a", "state": "absent"}, "b\n"),
    ("what matches goes", "a1\nb\na2\n", {"match": "^a", "state": "absent"}, "b\n"),
    ("the only line goes", "a\n", {"line": "a", "state": "absent"}, ""),
    ("an absent line is not a fault", "b\n", {"line": "a", "state": "absent"}, "b\n"),
    (
        "nothing in a line is special",
        "a\n",
        {"line": r"-e \n $X `id` 'q' \"&\" %s {} é"},
        "a\n" + r"-e \n $X `id` 'q' \"&\" %s {} é" + "\n",
    ),
    ("intervals work in match", "aab\nab\n", {"match": "^a{2}b", "line": "x"}, "x\nab\n"),
    ("blank lines stay", "\na\n\n", {"line": "b"}, "\na\n\nb\n"),
]


@pytest.mark.parametrize(
    ("before", "arguments", "after"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_the_file_ends_up_as_asked_and_a_second_time_changes_nothing(machine, before, arguments, after):
    """Run it twice: the first run does it, the second finds it done."""
    path = "/etc/some.conf"
    machine.read(f"printf %s {quoted(before)} > {path}")

    first = machine.use("file.line", file=path, **arguments)
    listing = machine.listing()
    second = machine.use("file.line", file=path, **arguments)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.sh(f"cat {path}").output == after
    assert machine.listing() == listing


def test_mode_and_owner_stay(machine):
    """A file that only its owner may read is still so afterwards."""
    machine.read("echo a > /etc/secret.conf && chmod 0640 /etc/secret.conf && chown 8:9 /etc/secret.conf")

    ran = machine.use("file.line", file="/etc/secret.conf", line="b")

    assert ran.code == 0, ran.output
    assert machine.read("stat -c '%a %u %g' /etc/secret.conf") == "640 8 9"
    assert machine.read("find /etc -maxdepth 1 -name '.kantoo*'") == ""


def test_a_link_stays_and_its_file_is_changed(machine):
    """/etc/a.conf is a link to /opt/a.conf before and after."""
    machine.read("echo a > /opt/a.conf && ln -s ../opt/a.conf /etc/a.conf")

    ran = machine.use("file.line", file="/etc/a.conf", line="b")

    assert ran.code == 0, ran.output
    assert machine.read("readlink /etc/a.conf") == "../opt/a.conf"
    assert machine.read("cat /opt/a.conf") == "a\nb"


def test_a_new_file_is_made_when_asked(machine):
    """create: true makes it, readable for all."""
    ran = machine.use("file.line", file="/etc/new.conf", line="a", create=True)

    assert ran.code == 0, ran.output
    assert machine.read("stat -c %a /etc/new.conf; cat /etc/new.conf") == "644\na"


def test_absent_from_a_file_that_is_not_there_is_done(machine):
    """No file, no line."""
    ran = machine.use("file.line", file="/etc/none.conf", line="a", state="absent")

    assert ran.code == 0, ran.output
    assert machine.sh("test -e /etc/none.conf").code == 1


REFUSED = [
    ({"file": "/etc/none.conf", "line": "a"}, "is not there"),
    ({"file": "/none/new.conf", "line": "a", "create": True}, "the folder /none is not there"),
    ({"file": "etc/passwd", "line": "a"}, "not an absolute path"),
    ({"file": "/etc", "line": "a"}, "is a directory"),
    ({"file": "/etc/passwd", "line": ""}, "nothing is given"),
    ({"file": "/etc/passwd", "state": "absent"}, "neither is given"),
    ({"file": "/etc/passwd", "line": "a\nb"}, "line break"),
    ({"file": "/etc/passwd", "line": "a", "state": "gone"}, "neither present nor absent"),
    ({"file": "/etc/passwd", "line": "a", "match": "("}, "not an extended regular expression"),
    ({"file": "/etc/passwd", "line": "a", "create": "yes"}, "neither true nor false"),
    ({"file": "/etc/hostname", "line": "a"}, "Docker mounts its own /etc/hostname"),
    ({"file": "/etc/hosts", "line": "a"}, "Docker mounts its own /etc/hosts"),
    ({"file": "/usr/bin/env", "line": "a"}, "not a text file"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(machine, arguments, message):
    """It fails, says why, and leaves everything as it was."""
    listing = machine.listing()

    ran = machine.use("file.line", **arguments)

    assert ran.code == 1
    assert ran.output.startswith("file.line: ")
    assert message in ran.output
    assert machine.listing() == listing


def quoted(text: str) -> str:
    """Return `text` as one word of shell."""
    return "'" + text.replace("'", "'\\''") + "'"
