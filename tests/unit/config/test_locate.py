from __future__ import annotations

import os

import pytest

from stalker.config import read_tree
from stalker.config.locate import find_tree, find_workspace


@pytest.mark.parametrize("name", ["t", "trees/t/t.hjson", "trees/t", "t.hjson"])
def test_a_tree_is_found_by_file_folder_or_name(space, name):
    """The file, its folder or the bare name; relative to the workspace."""
    assert read_tree(name, str(space.root)).file == "trees/t/t.hjson"


def test_a_tree_can_stand_directly_in_trees(space):
    """trees/x.hjson is a tree, too, and its name is the stem."""
    (space.root / "trees/t/t.hjson").rename(space.root / "trees/x.hjson")

    assert read_tree("x", str(space.root)).name == "x"


def test_a_bare_name_is_that_of_a_tree_also_where_a_stalk_has_it(tmp_path, monkeypatch):
    """In stalks/ there is a directory of that name with such a file."""
    for kind in ("trees", "stalks"):
        (tmp_path / kind / "web").mkdir(parents=True)
        (tmp_path / kind / "web/web.hjson").touch()
    monkeypatch.chdir(tmp_path / "stalks")

    assert find_tree("web", str(tmp_path)) == str(tmp_path / "trees/web/web.hjson")
    assert find_tree("./web", str(tmp_path)) == str(tmp_path / "stalks/web/web.hjson")


@pytest.mark.parametrize("start", [".", "trees", "trees/t", "stalks/web/files"])
def test_a_workspace_is_found_from_its_subdirectories(tmp_path, start):
    """The nearest parent with trees/."""
    for name in ("trees/t", "stalks/web/files"):
        (tmp_path / name).mkdir(parents=True)

    assert find_workspace(str(tmp_path / start)) == str(tmp_path)


def test_of_two_workspaces_the_nearer_is_taken(tmp_path):
    for name in ("trees", "inner/trees", "inner/docs"):
        (tmp_path / name).mkdir(parents=True)

    assert find_workspace(str(tmp_path / "inner/docs")) == str(tmp_path / "inner")


@pytest.mark.parametrize("own", ["trees", "stalks"])
def test_a_directory_with_trees_or_stalks_is_a_workspace_itself(tmp_path, own):
    """Trees can be given by their path: such a workspace has stalks/ alone."""
    for name in ("trees", f"inner/{own}"):
        (tmp_path / name).mkdir(parents=True)

    assert find_workspace(str(tmp_path / "inner")) == str(tmp_path / "inner")


def test_where_no_parent_has_trees_the_workspace_is_here(tmp_path):
    assert find_workspace(str(tmp_path)) == str(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_parent_of_another_user_is_not_taken(tmp_path, monkeypatch):
    """Anyone can make /tmp/trees; a user in /tmp/own does not run what is there."""
    (tmp_path / "trees").mkdir()
    (tmp_path / "own").mkdir()
    os.chown(tmp_path / "own", 1000, 1000)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert find_workspace(str(tmp_path / "own")) == str(tmp_path / "own")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_root_finds_the_workspace_of_a_user(tmp_path):
    """`sudo stalker` in a subdirectory works as without."""
    for name in ("trees", "stalks"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 1000, 1000)

    assert find_workspace(str(tmp_path / "stalks")) == str(tmp_path)
