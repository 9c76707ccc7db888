"""Paths of an ext4, and what can be there."""

from __future__ import annotations

import pytest

from stalker.disk.edit.ext4.paths import check_entry, followed, prefixes
from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry


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
