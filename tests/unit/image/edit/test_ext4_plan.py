"""What has to be done so that entries stand in an ext4, found before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from stalker.errors import StalkerError
from stalker.image.edit.entries import Entry
from stalker.image.edit.ext4_plan import LINKS, check_entry, followed, plan, prefixes
from stalker.image.edit.ext4_script import Inode

NOW_S = 5


def inode(number: int, kind: str = "file", links: int = 1) -> Inode:
    return Inode(number, kind, 0o644, 0, 0, 0, links, 0, b"", (), ())  # type: ignore[arg-type]


ROOT = {"/": inode(2, "folder", 3)}


def shown(entries: list[Entry], there: dict[str, Inode]) -> dict[str, Any]:
    """Return a plan as plain values: names that go, names of what is made, names that inodes get and links."""
    found = plan(entries, ROOT | there, NOW_S)
    return {
        "unlinked": list(found.unlinked),
        "made": [tuple(one.names) for one in found.made],
        "changed": {one.inode.number: (one.gained, one.links) for one in found.changed},
    }


A, B = Entry("/a", size_bytes=1), Entry("/b", size_bytes=1)
TABLE: dict[str, tuple[list[Entry], dict[str, Inode], dict[str, Any]]] = {
    "new": ([A, B], {}, {"made": [("/a",), ("/b",)]}),
    "folders on the way": ([Entry("/x/y/a")], {}, {"made": [("/x",), ("/x/y",), ("/x/y/a",)]}),
    "a folder stays": ([Entry("/a", "folder")], {"/a": inode(9, "folder", 2)}, {}),
    "replaced": ([A], {"/a": inode(9)}, {"unlinked": ["/a"], "made": [("/a",)], "changed": {9: ([], 0)}}),
    "one of two names": (
        [A],
        {"/a": inode(9, links=2)},
        {"unlinked": ["/a"], "made": [("/a",)], "changed": {9: ([], 1)}},
    ),
    "a device is replaced": (
        [A],
        {"/a": inode(9, "other")},
        {"unlinked": ["/a"], "made": [("/a",)], "changed": {9: ([], 0)}},
    ),
    "twice": ([A, B, A], {}, {"made": [("/b",), ("/a",)]}),
    "a folder for a file": ([A, Entry("/a/c")], {}, StalkerError),
    "a file for a folder": ([Entry("/a/c"), A], {}, StalkerError),
    "a file becomes a folder": (
        [Entry("/a", "folder"), Entry("/a/c")],
        {"/a": inode(9)},
        {"unlinked": ["/a"], "made": [("/a",), ("/a/c",)], "changed": {9: ([], 0)}},
    ),
    "another name": ([A, Entry("/h", "hardlink", target="/a")], {}, {"made": [("/a", "/h")]}),
    "another name of what is there": (
        [Entry("/h", "hardlink", target="/a")],
        {"/a": inode(9)},
        {"changed": {9: (["/h"], 2)}},
    ),
    "a name of itself": ([Entry("/a", "hardlink", target="/a")], {"/a": inode(9)}, {}),
    "a name that it has": (
        [Entry("/h", "hardlink", target="/a")],
        {"/a": inode(9, links=2), "/h": inode(9, links=2)},
        {},
    ),
    "a name that another had": (
        [Entry("/h", "hardlink", target="/a")],
        {"/a": inode(9), "/h": inode(8)},
        {"unlinked": ["/h"], "changed": {9: (["/h"], 2), 8: ([], 0)}},
    ),
    "a name lost and got again": (
        [A, Entry("/a", "hardlink", target="/h")],
        {"/a": inode(9, links=2), "/h": inode(9, links=2)},
        {"unlinked": ["/a"], "changed": {9: (["/a"], 2)}},
    ),
    "a name got and lost": (
        [Entry("/h", "hardlink", target="/a"), Entry("/h")],
        {"/a": inode(9)},
        {"made": [("/h",)]},
    ),
    "the first lives on by another name": ([A, Entry("/h", "hardlink", target="/a"), A], {}, StalkerError),
    "no such target": ([Entry("/h", "hardlink", target="/a")], {}, StalkerError),
    "a name of a folder": ([Entry("/h", "hardlink", target="/a")], {"/a": inode(9, "folder")}, StalkerError),
    "through a link": ([Entry("/a/b")], {"/a": inode(9, "link")}, StalkerError),
    "through a file": ([Entry("/a/b")], {"/a": inode(9)}, StalkerError),
    "too many names": ([Entry("/h", "hardlink", target="/a")], {"/a": inode(9, links=LINKS)}, StalkerError),
    "too many folders": ([Entry("/a/b", "folder")], {"/a": inode(9, "folder", LINKS)}, StalkerError),
    "nothing for the root": ([Entry("/", "folder")], {}, {}),
}


@pytest.mark.parametrize("case", TABLE)
def test_entries_become_what_has_to_be_done(case: str) -> None:
    """What stands there and what is wanted decide, nothing else."""
    entries, there, wanted = TABLE[case]

    if wanted is StalkerError:
        with pytest.raises(StalkerError) as raised:
            shown(entries, there)
        assert raised.value.resolution
    else:
        assert shown(entries, there) == {"unlinked": [], "made": [], "changed": {}} | wanted


def test_a_folder_on_the_way_is_as_its_entry_says_though_it_comes_later() -> None:
    """Archives may name a folder behind what is in it."""
    found = plan(
        [Entry("/x/a"), Entry("/x", "folder", mode=0o700), Entry("/x", "folder", mode=0o711)], ROOT, NOW_S
    )

    assert [(one.entry.path, one.entry.mode) for one in found.made] == [("/x", 0o700), ("/x/a", 0o644)]


def test_a_folder_that_nobody_names_is_roots() -> None:
    """With the usual mode, and the time of the editor."""
    found = plan([Entry("/x/a", uid=7, mode=0o600)], ROOT, NOW_S)

    assert found.made[0].entry == Entry("/x", "folder", mode=0o755, mtime_s=NOW_S)


def test_folders_come_before_what_is_in_them() -> None:
    assert prefixes(["/a/b/c", "/a", "/d e/f"]) == ["/", "/a", "/d e", "/a/b", "/d e/f", "/a/b/c"]


def test_attributes_up_to_a_block_are_taken() -> None:
    """What fills it is good, one byte more is not."""
    name = b"user.x"
    most = 1024 - 36 - 16 - 8

    check_entry(Entry("/x", xattrs=((name, bytes(most)),)), 1024)

    with pytest.raises(StalkerError, match="cannot be put"):
        check_entry(Entry("/x", xattrs=((name, bytes(most + 1)),)), 1024)


def test_links_are_followed_inside() -> None:
    """One look for a way without links, one more for each link; what is missing is taken for a folder."""
    world: dict[str, str | None] = {
        "/l": "/usr/./lib//",
        "/usr/lib": None,
        "/usr": None,
        "/usr/lib/up": "../../..",
    }
    looks = []
    known: dict[str, str | None] = {}

    while True:
        result, unknown = followed("/l/up/l/new/x", known)
        if result:
            break
        looks.append(unknown)
        known |= {path: world.get(path) for path in unknown}

    assert result == "/usr/lib/new/x"
    assert looks[0] == ["/l", "/l/up", "/l/up/l", "/l/up/l/new"]
    assert len(looks) < 6


def test_circles_of_links_are_an_error() -> None:
    with pytest.raises(StalkerError, match="circles"):
        followed("/a/x", {"/a": "b", "/b": "a"})
