"""Codes of secrets that count."""

from __future__ import annotations

import pytest

from stalker.config.tree.counted_secrets import NOT_GENERATED, with_counted_secrets
from stalker.errors import FilesError, StalkerError
from stalker.plan.artifacts import definition
from stalker.plan.fingerprint import differences, step_inputs


@pytest.fixture
def environ(tmp_path):
    return {"XDG_DATA_HOME": str(tmp_path / "data")}


def key_file(tmp_path):
    return tmp_path / "data/stalker/fingerprint-key"


@pytest.fixture
def login(space):
    """A step that has A, which counts, and B, which does not."""
    space.stalk(
        """f: { bind: '/f', A: '', text: "{A}" }
        go: { exec: true, A: '', B: '', text: "#!/bin/sh\\necho" }"""
    )
    space.tree(
        """base: [ { tag: 'a:1' } ]
        artifacts: { disk: { disk: 'd.img', partitions: { root: { filesystem: 'ext4', from: '/' } },
          A: '', write: { '/etc/pass': '{A}' } } }""",
        "secrets: { A: { env: 'A', counts: true }, B: { env: 'B' } }",
    )
    return space


def inputs(space, environ, **known):
    tree = with_counted_secrets(space.read(), environ, known)
    return step_inputs(tree.stalks[0].steps[0])


def test_the_code_follows_the_value_and_hides_it(login, environ):
    """The same value has the same code, in variables and in files; another value another one."""
    first, again, other = (inputs(login, environ, A=value) for value in ("one", "one", "two"))

    assert first == again
    changed = {name for name in first if first[name] != other[name]}
    assert changed == {"variable A", "variable A in f"}
    assert first["variable A"].startswith("secret A (hmac-sha256 ")
    assert first["variable B"] == "secret B"


def test_the_reason_names_the_secret(login, environ):
    step = login.read().stalks[0].steps[0]

    said = differences(step, inputs(login, environ, A="one"), inputs(login, environ, A="two"))

    assert said == ["secret A has another value", "secret A has another value"]


def test_an_artifact_that_holds_it_is_made_again(login, environ):
    trees = [with_counted_secrets(login.read(), environ, {"A": value}) for value in ("one", "two")]

    first, other = (definition(tree.stalks[0].artifacts[0], "t") for tree in trees)

    assert {name for name in first if first[name] != other[name]} == {"write /etc/pass secret A"}


def test_another_user_has_other_codes(login, environ, tmp_path):
    first = inputs(login, environ, A="one")

    assert inputs(login, {"XDG_DATA_HOME": str(tmp_path / "other")}, A="one") != first


def test_a_value_that_cannot_be_read_is_an_error(login, environ):
    with pytest.raises(FilesError, match="1 problem"):
        inputs(login, environ)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read_is_refused(login, environ, tmp_path, mode):
    inputs(login, environ, A="one")
    assert key_file(tmp_path).stat().st_mode & 0o777 == 0o600
    key_file(tmp_path).chmod(mode)

    with pytest.raises(StalkerError, match="is not private"):
        inputs(login, environ, A="one")


def test_a_key_that_is_cut_short_is_refused(login, environ, tmp_path):
    inputs(login, environ, A="one")
    key_file(tmp_path).write_bytes(b"short")

    with pytest.raises(StalkerError, match="has 5 bytes instead of 32"):
        inputs(login, environ, A="one")


def test_a_value_that_will_be_generated_is_not_made_for_a_plan(login, environ):
    """Only a run makes it; the plan says that the step runs."""
    login.tree("", "secrets: { A: { file: 'a', generate: true, counts: true }, B: { env: 'B' } }")

    found = inputs(login, environ)

    assert found["variable A"] == f"secret A (hmac-sha256 {NOT_GENERATED})"
    assert not (login.root / "a").exists()


def test_a_tree_without_such_secrets_needs_no_key(space, environ, tmp_path):
    tree = space.read()

    assert with_counted_secrets(tree, environ, {}) is tree
    assert not key_file(tmp_path).exists()
