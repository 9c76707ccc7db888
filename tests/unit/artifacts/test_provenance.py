"""The revision of a workspace, as a manifest has it."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from stalker.artifacts.provenance import revision
from unit.helpers.forest import TREE


def git(folder, *words):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def workspace(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.hjson").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


@pytest.mark.parametrize(("file", "is_changed"), [("a.hjson", True), ("logs.txt", False)])
def test_only_a_file_that_the_tree_reads_changes_the_revision(workspace, file, is_changed):
    """Logs and artifacts may be in the same repository."""
    tree = replace(TREE, workspace=str(workspace), files_read=(("a.hjson", "digest"),))
    assert revision(tree)["is_changed"] is False

    (workspace / file).write_text("2")

    assert revision(tree)["is_changed"] is is_changed


def test_without_git_there_is_no_revision(tmp_path):
    assert revision(replace(TREE, workspace=str(tmp_path))) == {}
