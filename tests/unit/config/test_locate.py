from __future__ import annotations

import pytest

from stalker.config import read_tree


@pytest.mark.parametrize("name", ["t", "trees/t/t.hjson", "trees/t", "t.hjson"])
def test_a_tree_is_found_by_file_folder_or_name(space, name):
    """The file, its folder or the bare name; relative to the workspace."""
    assert read_tree(name, str(space.root)).file == "trees/t/t.hjson"


def test_a_tree_can_stand_directly_in_trees(space):
    """trees/x.hjson is a tree, too, and its name is the stem."""
    (space.root / "trees/t/t.hjson").rename(space.root / "trees/x.hjson")

    assert read_tree("x", str(space.root)).name == "x"
