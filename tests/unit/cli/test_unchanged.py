"""The note of "nothing to do" is found only for the same tree, asked for in the same way."""

from __future__ import annotations

import pytest

from stalker.cli import unchanged


def test_a_tree_of_the_current_folder_is_not_that_of_the_workspace(tmp_path, monkeypatch):
    """`--workspace W run trees/t.hjson`: a file of that name where the user stands goes first."""
    for folder in ("space", "here"):
        (tmp_path / folder / "trees").mkdir(parents=True)
    (tmp_path / "space/trees/t.hjson").touch()
    monkeypatch.chdir(tmp_path / "here")

    def note():
        return unchanged._note_path("trees/t.hjson", str(tmp_path / "space"), {"HOME": "/"})

    of_the_workspace = note()
    (tmp_path / "here/trees/t.hjson").touch()

    assert note() != of_the_workspace


@pytest.mark.parametrize("jobs", ["0", "-1", "²", "x", ""])
def test_a_number_of_jobs_that_is_none_is_left_to_the_long_way(jobs):
    """It refuses them with exit code 2."""
    assert unchanged._asked(["run", "t", "--jobs", jobs]) is None
