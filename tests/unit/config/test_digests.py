from __future__ import annotations

import os

import pytest

from stalker.config.digests import digest_directory, directory_evidence


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


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_change_below_a_mounted_folder_changes_its_digest_and_evidence(folder, change):
    """A container sees what the digest of any other folder covers, and more."""
    before = digest_directory(str(folder), owners=True), directory_evidence(str(folder))[0]

    change(folder)

    after = digest_directory(str(folder), owners=True), directory_evidence(str(folder))[0]
    assert after[0] != before[0]
    assert after[1] != before[1]


OF_MOUNTS = {
    "owner of a file": lambda a: os.chown(a / "x", 7, -1),
    "group of a folder": lambda a: os.chown(a / "b", -1, 7),
    "owner of a link": lambda a: os.lchown(a / "link", 7, 7),
    "its own owner": lambda a: os.chown(a, 7, -1),
    "its own mode": lambda a: a.chmod(0o711),
}


@pytest.mark.parametrize("change", OF_MOUNTS.values(), ids=OF_MOUNTS.keys())
def test_owners_and_the_top_count_only_where_they_arrive(folder, change):
    """In a mounted folder they do; on a disk all belongs to root."""
    plain, mounted = digest_directory(str(folder)), digest_directory(str(folder), owners=True)
    evidence = directory_evidence(str(folder))

    change(folder)

    assert digest_directory(str(folder)) == plain
    assert digest_directory(str(folder), owners=True) != mounted
    assert directory_evidence(str(folder)) != evidence


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
