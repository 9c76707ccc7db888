"""The note of "nothing to do" is found only for the same tree, asked for in the same way."""

from __future__ import annotations

from stalker.app import nothing_to_do


def test_a_tree_of_the_current_folder_is_not_that_of_the_workspace(tmp_path, monkeypatch):
    """`--workspace W run trees/t.hjson`: a file of that name where the user stands goes first."""
    for folder in ("space", "here"):
        (tmp_path / folder / "trees").mkdir(parents=True)
    (tmp_path / "space/trees/t.hjson").touch()
    monkeypatch.chdir(tmp_path / "here")

    def note():
        return nothing_to_do._note_path("trees/t.hjson", str(tmp_path / "space"), {"HOME": "/"})

    of_the_workspace = note()
    (tmp_path / "here/trees/t.hjson").touch()

    assert note() != of_the_workspace
