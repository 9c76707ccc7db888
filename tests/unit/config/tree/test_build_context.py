"""What of a Dockerfile's directory is sent counts, and nothing else."""

from __future__ import annotations

import os
import socket

import pytest

from stalker.config.tree.build_context import context_digest
from stalker.fetch.base.dockerfile_context import folder_context


@pytest.fixture
def folder(tmp_path):
    """A directory with a bit of everything, and a file that is not sent."""
    made = tmp_path / "ctx"
    (made / "deep").mkdir(parents=True)
    (made / "Dockerfile").write_text("FROM x\n")
    (made / ".dockerignore").write_text("ignored\nout/*\n!out/kept\n")
    (made / "ignored").write_text("1")
    (made / "out").mkdir()
    (made / "out/kept").write_text("1")
    (made / "out/left").write_text("1")
    (made / "deep/f").write_text("1")
    (made / "l").symlink_to("deep/f")
    os.link(made / "deep/f", made / "twin")
    os.mkfifo(made / "pipe")
    return made


def digest(folder):
    return context_digest(str(folder), "Dockerfile")


CHANGES = {
    "a content": lambda a: (a / "deep/f").write_text("2"),
    "a mode": lambda a: (a / "deep/f").chmod(0o755),
    "the mode of a directory": lambda a: (a / "deep").chmod(0o700),
    "the mode of a pipe": lambda a: (a / "pipe").chmod(0o600),
    "where a link leads": lambda a: ((a / "l").unlink(), (a / "l").symlink_to("deep")),
    "a hard link becomes a copy": lambda a: ((a / "twin").unlink(), (a / "twin").write_text("1")),
    "a new file": lambda a: (a / "new").touch(),
    "an exception from the rules": lambda a: (a / "out/kept").write_text("2"),
    "the rules": lambda a: (a / ".dockerignore").write_text("out\n"),
    "the Dockerfile": lambda a: (a / "Dockerfile").write_text("FROM y\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_change_of_what_is_sent_changes_the_digest(folder, change):
    before = digest(folder)

    change(folder)

    assert digest(folder) != before


SAME = {
    "what is ignored": lambda a: (a / "ignored").write_text("2"),
    "what an exception does not name": lambda a: (a / "out/left").unlink(),
    "a time": lambda a: os.utime(a / "deep/f", (1, 1)),
    "an owner": lambda a: os.chown(a / "deep/f", 7, 7),
    "its own mode": lambda a: a.chmod(0o711),
    "a socket": lambda a: socket.socket(socket.AF_UNIX).bind(str(a / "s")),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_what_does_not_arrive_does_not_count(folder, change):
    """All that is sent belongs to root."""
    before = digest(folder)

    change(folder)

    assert digest(folder) == before


def test_what_is_sent_has_the_digest_that_was_computed_before(folder):
    """The bytes that are sent are the bytes that are hashed: the stream would end in an error."""
    assert b"".join(folder_context(folder, "Dockerfile", digest(folder)))


def test_rules_of_one_dockerfile_go_before_those_of_the_directory(folder):
    """`NAME.dockerignore`, as Docker has it; where it is missing, its appearing is a change."""
    (folder / "D").write_text("FROM x\n")
    before = context_digest(str(folder), "D")

    (folder / "D.dockerignore").write_text("deep\n")

    assert context_digest(str(folder), "D") != before
