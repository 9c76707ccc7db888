"""The lock file of a tree: what moved yesterday stays, until somebody says upgrade.

The commands of `stalker.cli.commands.release.lock` (cli/commands/release/lock) write it.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from stalker.app.inputs import provided_inputs
from stalker.app.lock import lock_path, read_lock_of, settle_locked, write_lock
from stalker.app.settings import Settings
from stalker.app.trees import read_tree
from stalker.cli.main import stalker
from stalker.config.syntax.report import Report
from stalker.config.tree.load import tree_files
from stalker.config.tree.lock_file import Lock
from stalker.config.workspace import Workspace
from stalker.errors import FilesError, NotGenuine, PlanError
from unit.helpers.server import serving

BODY = b"first" * 100
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def served():
    with serving(file=BODY) as server:
        yield server


def git(where, *words):
    given = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *given, "-C", str(where), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(repository, text):
    (repository / "a").write_text(text)
    git(repository, "add", "a")
    git(repository, "commit", "-q", "-m", text)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    made = tmp_path / "origin"
    made.mkdir()
    git(made, "init", "-q")
    commit(made, "first")
    return made


@pytest.fixture
def workspace(tmp_path, served, repository):
    """A tree with one of each kind of input that moves."""
    root = tmp_path / "w"
    (root / "trees/t").mkdir(parents=True)
    (root / "stalks/s").mkdir(parents=True)
    (root / "trees/t/t.hjson").write_text(
        "{ architecture: { OS: o, ARCH: a, SUBARCH: s }\n"
        '  stalks: { s: { base: [ { image: "debian:12" } ] } } }\n'
    )
    (root / "stalks/s/s.hjson").write_text(
        "{ plugins: {\n"
        f'    data: {{ copy: "/data", url: "{served.url}/file" }}\n'
        f'    src: {{ bind: "/src", git: "{repository.as_uri()}", ref: "main" }}\n'
        '    one: { exec: true, text: "#!/bin/sh\\ntrue\\n" }\n'
        "} }\n"
    )
    return root


def read(workspace):
    return read_tree(Settings(str(workspace)), "t")


def call(workspace, *words):
    """Return exit code and output, or the error."""
    result = CliRunner().invoke(stalker, ["--workspace", str(workspace), *words])
    return result.exception if result.exception and result.exit_code == 1 else result.output


def settled(workspace, **more):
    """Return digest and commit of the inputs, and the line about the lock."""
    tree, note = settle_locked(read(workspace), {}, {}, print, **more)
    step = tree.stalks[0].steps[-1]
    file = next(one for one in (*step.copies, *step.late_copies, *step.files) if one.download)
    return file.digest, next(one.git.ref for one in step.mounts if one.git), note


def test_what_is_locked_stays_though_servers_have_something_newer(workspace, served, repository):
    first = git(repository, "rev-parse", "HEAD")
    output = call(workspace, "lock", "t")
    served.files["/file"], served.etag = b"other", '"v2"'
    second = commit(repository, "second")
    asked = len(served.asked)

    assert f"{served.url}/file: not locked -> sha256:{SHA}" in output
    digest, ref, note = settled(workspace, locked=True)
    assert (digest, ref) == (SHA, first)
    assert note == "2 of 2 moving inputs as in trees/t/t.lock.hjson"
    assert len(served.asked) == asked

    lock_path(read(workspace)).unlink()
    assert settled(workspace) == (hashlib.sha256(b"other").hexdigest(), second, "")


def test_a_run_gets_the_locked_content_from_the_cache_and_never_another(
    workspace, served, monkeypatch, tmp_path
):
    call(workspace, "lock", "t")
    served.files["/file"], served.etag = b"other", '"v2"'
    tree, _ = settle_locked(read(workspace), {}, {}, print)

    with provided_inputs(tree, tree.stalks[0].steps, {}, {}, print) as prepare:
        step = prepare(tree.stalks[0].steps[-1])
        file = next(one for one in (*step.copies, *step.late_copies) if one.download)
        assert Path(file.host_path).read_bytes() == BODY

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(NotGenuine), provided_inputs(tree, tree.stalks[0].steps, {}, {}, print):
        pass


def test_locked_refuses_what_is_not_in_the_lock_before_a_server_is_asked(workspace, served, repository):
    with pytest.raises(PlanError, match="and 1 more") as caught:
        settled(workspace, locked=True)
    assert caught.value.resolution.endswith("lock trees/t/t.hjson")

    write_lock(read(workspace), Lock({f"{served.url}/file": SHA}))
    with pytest.raises(PlanError, match=repository.name):
        settled(workspace, locked=True)

    assert served.asked == []


def test_without_locked_what_is_not_in_the_lock_is_asked_for(workspace, served, repository):
    write_lock(read(workspace), Lock({f"{served.url}/file": "0" * 64}))

    assert settled(workspace) == (
        "0" * 64,
        git(repository, "rev-parse", "HEAD"),
        "1 of 2 moving inputs as in trees/t/t.lock.hjson",
    )


def test_lock_again_adds_what_is_new_drops_what_went_and_changes_nothing_else(workspace, served, repository):
    write_lock(read(workspace), Lock({f"{served.url}/file": SHA, "https://gone/x": "1" * 64}))
    served.files["/file"], served.etag = b"other", '"v2"'

    output = call(workspace, "lock", "t")

    url = repository.as_uri()
    assert read_lock_of(read(workspace)) == Lock(
        {f"{served.url}/file": SHA}, {(url, "main"): git(repository, "rev-parse", "HEAD")}
    )
    assert "https://gone/x: " in output
    assert "no longer in the tree" in output
    assert "locked already" in call(workspace, "lock", "t")


def test_upgrade_shows_old_and_new_and_writes_after_a_yes_alone(workspace, served, repository):
    call(workspace, "lock", "t")
    before = lock_path(read(workspace)).read_text()
    assert "nothing is newer" in call(workspace, "upgrade", "t", "--yes")
    first = git(repository, "rev-parse", "HEAD")
    second = commit(repository, "second")
    served.files["/file"], served.etag = b"other", '"v2"'

    refused = call(workspace, "upgrade", "t")
    assert isinstance(refused, PlanError)
    assert refused.resolution == "give --yes"
    assert lock_path(read(workspace)).read_text() == before

    output = call(workspace, "upgrade", "t", "--yes", "origin")
    assert f"main: {first} -> {second}" in output
    assert settled(workspace)[:2] == (SHA, second)

    call(workspace, "upgrade", "t", "--yes")
    assert settled(workspace)[:2] == (hashlib.sha256(b"other").hexdigest(), second)


def test_upgrade_of_an_unknown_name_and_without_a_lock_are_errors(workspace):
    assert "has no lock file" in str(call(workspace, "upgrade", "t", "--yes"))
    call(workspace, "lock", "t")
    assert "nothing is not in the lock" in str(call(workspace, "upgrade", "t", "--yes", "nothing"))


def test_a_lock_file_with_a_problem_is_an_error_with_its_place(workspace):
    lock_path(read(workspace)).write_text("{ urls: { a: b } }")

    with pytest.raises(FilesError) as caught:
        settled(workspace)

    assert str(caught.value.problems[0].place).startswith("trees/t/t.lock.hjson:1:")


def test_a_lock_file_in_trees_is_not_a_tree(workspace):
    (workspace / "trees/u.lock.hjson").write_text("{}")

    assert [name for name, _ in tree_files(Workspace(str(workspace), Report()))] == ["t"]


def test_a_tree_without_moving_inputs_gets_no_lock_file(workspace):
    (workspace / "stalks/s/s.hjson").write_text('{ plugins: { one: { exec: true, text: "#!/bin/sh\\n" } } }')

    assert "no input moves" in call(workspace, "lock", "t")
    assert not lock_path(read(workspace)).exists()
