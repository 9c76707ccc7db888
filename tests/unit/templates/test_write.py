"""All files or none; what exists is never overwritten."""

from __future__ import annotations

import os

import pytest

from stalker.errors import PlanError
from stalker.templates.files import NewFile
from stalker.templates.write import write_new

FILES = [NewFile("a", b"1"), NewFile("b/c", b"2", 0o755), NewFile("b/l", link="c")]


def test_files_and_links_are_written_with_their_modes(tmp_path):
    write_new(str(tmp_path / "new/w"), FILES)

    assert (tmp_path / "new/w/a").read_bytes() == b"1"
    assert os.access(tmp_path / "new/w/b/c", os.X_OK)
    assert os.readlink(tmp_path / "new/w/b/l") == "c"


@pytest.mark.parametrize("name", ["a", "b/c", "b/l", "besides"])
def test_where_one_file_exists_none_is_written(tmp_path, name):
    """Not even a link that leads nowhere is replaced."""
    (tmp_path / "b").mkdir()
    (tmp_path / name).symlink_to("nowhere")

    with pytest.raises(PlanError, match=rf"{name} exists already .*; nothing was written"):
        write_new(str(tmp_path), FILES, besides=["besides"])

    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == [name.rpartition("/")[2]]


def test_all_that_exist_are_named(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "besides").touch()

    with pytest.raises(PlanError, match="2 of the files exist") as caught:
        write_new(str(tmp_path), FILES, besides=["besides"])

    assert caught.value.details == "a\nbesides"


def test_where_a_directory_is_missing_and_cannot_be_made_nothing_is_left(tmp_path):
    """A file is in the place of a directory: what was written before goes again."""
    (tmp_path / "b").touch()

    with pytest.raises(PlanError, match=r"cannot be written|exists already"):
        write_new(str(tmp_path), FILES)

    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def symlink(*_):
        raise OSError(28, "No space left on device", "b/l")

    monkeypatch.setattr("os.symlink", symlink)

    with pytest.raises(PlanError, match="b/l cannot be written") as caught:
        write_new(str(tmp_path / "w"), FILES)

    assert "no space left on device" in caught.value.details
    assert list(tmp_path.iterdir()) == []
