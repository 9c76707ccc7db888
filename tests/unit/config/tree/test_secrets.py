from __future__ import annotations

import pickle
import re
import stat

import pytest

from stalker.config import read_secrets
from stalker.errors import FilesError

SECRETS = "secrets: {\n KEY: { env: 'MY_KEY' }\n PEM: { file: 'private/pem' }\n AWAY: { file: '%s' }\n }"


@pytest.fixture
def tree(space, tmp_path_factory):
    """A tree with secrets of the environment, of the workspace and of elsewhere."""
    away = tmp_path_factory.mktemp("away") / "secret"
    away.write_text("elsewhere\n")
    space.write("private/pem", "two\nlines\n")
    space.tree(top=SECRETS % away)
    return space.read()


def test_secrets_are_read_when_asked_for(tree):
    """Of a file without its last newline."""
    values = read_secrets(tree, ["KEY", "PEM", "AWAY"], {"MY_KEY": "s3cr3t"})

    assert values == {"KEY": "s3cr3t", "PEM": "two\nlines", "AWAY": "elsewhere"}


def test_only_the_secrets_that_are_needed_are_read(tree):
    """A secret that nobody uses need not be there."""
    assert read_secrets(tree, ["PEM"], {}) == {"PEM": "two\nlines"}


def test_no_value_of_a_secret_is_in_the_tree(tree):
    """The tree can be kept and sent."""
    assert b"two\nlines" not in pickle.dumps(tree)
    assert "private/pem" not in dict(tree.files_read)


BAD = {
    "KEY": ({}, "the environment variable MY_KEY is not set\n  export MY_KEY before the run"),
    "OTHER": ({}, "no secret named 'OTHER'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_secret_that_cannot_be_had_is_told_without_its_value(tree, name):
    """The message names where it should come from."""
    environ, message = BAD[name]

    with pytest.raises(FilesError) as caught:
        read_secrets(tree, [name], environ)

    assert message in caught.value.details


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"a\0b", "character NUL"),
        (b"x" * 1024 * 1025, "larger than"),
    ],
)
def test_a_secret_file_that_is_no_secret_is_told(space, tree, content, message):
    """Missing, empty, binary, huge."""
    file = space.root / "private/pem"
    file.unlink() if content is None else file.write_bytes(content)

    with pytest.raises(FilesError) as caught:
        read_secrets(tree, ["PEM"], {})

    assert message in caught.value.details


def test_all_secrets_that_lack_are_told_at_once(tree):
    """One look, all there is to repair."""
    with pytest.raises(FilesError) as caught:
        read_secrets(tree, ["KEY", "OTHER"], {"MY_KEY": ""})

    assert len(caught.value.problems) == 2


def test_a_secret_is_generated_once_for_its_owner_alone(space):
    """The file is made with its folder the first time, and read from then on."""
    space.tree(top="secrets: { NEW: { file: 'workspace/keep/new', generate: true } }")
    tree = space.read()

    first = read_secrets(tree, ["NEW"], {})
    again = read_secrets(tree, ["NEW"], {})

    file = space.root / "workspace/keep/new"
    assert first == again == {"NEW": file.read_text().removesuffix("\n")}
    assert re.fullmatch("[a-z0-9]{20}", first["NEW"])
    assert stat.filemode(file.stat().st_mode) == "-rw-------"
    assert [entry.name for entry in file.parent.iterdir()] == ["new"]


def test_two_generated_secrets_differ(space):
    """Nobody can guess one from the other."""
    space.tree(top="secrets: { A: { file: 'a', generate: true }, B: { file: 'b', generate: true } }")

    values = read_secrets(space.read(), ["A", "B"], {})

    assert values["A"] != values["B"]


def test_a_secret_that_cannot_be_generated_is_told(space):
    """A file stands where its folder should be."""
    space.write("taken", "")
    space.tree(top="secrets: { NEW: { file: 'taken/new', generate: true } }")

    with pytest.raises(FilesError) as caught:
        read_secrets(space.read(), ["NEW"], {})

    assert "taken/new cannot be made" in str(caught.value.problems[0])


def test_what_is_generated_needs_a_file(space):
    """A variable of the environment cannot be kept."""
    space.tree(top="secrets: { NEW: { env: 'NEW', generate: true } }")

    with pytest.raises(FilesError) as caught:
        space.read()

    assert "needs a file to be kept in" in str(caught.value.problems[0])
