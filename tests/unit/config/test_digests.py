from __future__ import annotations

import os

import pytest

from stalker.config.digests import digest_directory


@pytest.fixture
def folder(tmp_path):
    """A folder with a bit of everything."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/x").write_text("1")
    (tmp_path / "a/b/y").write_text("2")
    os.symlink("x", tmp_path / "a/link")
    return tmp_path / "a"


CHANGES = {
    "content": lambda a: (a / "x").write_text("3"),
    "name": lambda a: (a / "x").rename(a / "z"),
    "mode": lambda a: (a / "x").chmod(0o755),
    "mode of a folder": lambda a: (a / "b").chmod(0o700),
    "link": lambda a: ((a / "link").unlink(), os.symlink("b", a / "link")),
    "new empty folder": lambda a: (a / "new").mkdir(),
    "new file": lambda a: (a / "b/new").write_text(""),
    "gone": lambda a: (a / "b/y").unlink(),
    "moved": lambda a: (a / "b/y").rename(a / "y"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_change_below_a_folder_changes_its_digest(folder, change):
    """Content, names, modes, links."""
    before = digest_directory(str(folder))

    change(folder)

    assert digest_directory(str(folder)) != before


def test_times_and_the_folders_own_name_do_not_count(folder):
    """A fresh copy has the digest of the old one."""
    before = digest_directory(str(folder))
    os.utime(folder / "x", (1, 1))
    folder = folder.rename(folder.parent / "other")

    assert digest_directory(str(folder)) == before


def test_a_link_that_leads_in_a_circle_is_not_followed(folder):
    """Links count by where they lead."""
    os.symlink("..", folder / "b/up")

    assert len(digest_directory(str(folder))) == 64
