"""The folders of a FAT: grown, full, cut off."""

from __future__ import annotations

import os

import pytest

from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry
from unit.helpers.fats import NOW_S, Fat, put


def test_a_folder_has_65536_entries_at_most(tmp_path):
    """No system reads a larger one; the error says what to do, and those that fit are there."""
    fat = Fat(tmp_path / "x.img", "fat32")
    names = [f"/folder/{number:0255}" for number in range(3121)]
    with fat.editor() as editor:
        editor.put([Entry(name) for name in names[:3120]])
        with pytest.raises(StalkerError, match="is full") as caught:
            editor.put([Entry(name) for name in names])
        assert caught.value.resolution == "use several folders"
        editor.finish()

    assert fat.fsck() == ""
    with fat.editor() as editor:
        assert len(editor.look(names)) == 3120


@pytest.mark.parametrize("shape", ["fat12", "fat32"])
def test_a_folder_grows_where_there_is_room(tmp_path, shape):
    """Its clusters stand among those of its files, and all of it is zeros where no entry is."""
    fat = Fat(tmp_path / "x.img", shape)
    wanted = {}
    for turn in range(40):
        files = {
            f"/a/b/File number {turn} of many": b"%d" % turn,
            f"/a/File number {turn} of many": b"x" * turn,
        }
        fat.put(files)
        wanted |= files

    with fat.editor() as editor:
        assert len(editor._tree.folder(["a", "b"], NOW_S, NOW_S).where) > 5
    assert fat.fsck() == ""
    assert fat.tree() == {"/a": None, "/a/b": None, **wanted}


def test_a_root_folder_of_a_fat32_grows(tmp_path):
    """It is a chain as any other."""
    fat = Fat(tmp_path / "x.img", "fat32")
    files = {f"/File number {number} of many": b"%d" % number for number in range(200)}

    fat.put(files)

    assert fat.fsck() == ""
    assert fat.tree() == files


@pytest.mark.parametrize("shape", ["fat16", "fat32"])
def test_an_image_that_ends_early_is_told(tmp_path, shape):
    """What is not there is not taken for an empty folder, nor for the content of a file."""
    fat = Fat(tmp_path / "x.img", shape)
    ranges = fat.put({"/a/file": b"x" * 2000})
    start = ranges["/a/file"][0].start

    os.truncate(fat.path, start + 600)
    with fat.editor() as editor, pytest.raises(StalkerError, match="image ends within"):
        editor.read("/a/file")
    os.truncate(fat.path, start - 100)
    with fat.editor() as editor, pytest.raises(StalkerError, match="image ends within"):
        editor.look(["/a/file"])
    os.truncate(fat.path, 3000)
    with pytest.raises(StalkerError, match="image ends within"), fat.editor():
        pass


def test_a_folder_that_begins_nowhere_is_told(tmp_path):
    """A folder whose entry names no cluster is damage, not the root folder."""
    fat = Fat(tmp_path / "x.img", "fat16")
    fat.put({"/folder/x": b"x"})
    at = fat.bytes().index(b"FOLDER     ") - fat.start
    fat.write(at + 26, b"\0\0")

    with fat.editor() as editor, pytest.raises(StalkerError, match="chain of clusters"):
        editor.look(["/folder/x"])


def test_times_of_folders_are_those_that_were_said(tmp_path):
    """A folder that is put has its own time, one on the way that of the editor, and both stay."""
    fat = Fat(tmp_path / "x.img")
    with fat.editor() as editor:
        put(fat.path, editor, {"/way/said": None}, 1_500_000_000)
        put(fat.path, editor, {"/way/said": None, "/way": None}, 1_600_000_000)
        editor.finish()

    assert "2023-11-14  22:13" in next(line for line in fat.listing().splitlines() if line.startswith("way"))
    assert "2017-07-14   2:40" in next(
        line for line in fat.listing("/way").splitlines() if line.startswith("said")
    )
