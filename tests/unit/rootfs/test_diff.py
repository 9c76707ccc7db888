from __future__ import annotations

import itertools
import tarfile
from typing import Any

import pytest

from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError, NoEngine
from stalker.rootfs.diff import compare, compare_images, read_entries
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member, pieces

CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}


def changes(old: list[Any], new: list[Any]) -> list[tuple[Any, ...]]:
    before, after = (read_entries(pieces(make_tar(*one), 700)) for one in (old, new))
    return [(one.kind, one.path, one.content_changed, *one.notes) for one in compare(before, after)]


def f(name: str, content: bytes = b"x", **fields: Any) -> tuple[Any, bytes]:
    return member(name, **fields), content


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [f("a")], [("A", "/a", False)]),
        ([f("a")], [], [("D", "/a", False)]),
        ([f("a")], [f("a", mtime=7)], []),
        ([f("a", b"1")], [f("a", b"2")], [("C", "/a", True)]),
        ([f("a")], [f("a", mode=0o4755)], [("C", "/a", False, "mode 0644 -> 4755")]),
        ([f("a")], [f("a", uid=5, gid=6)], [("C", "/a", False, "owner 0:0 -> 5:6")]),
        ([f("a")], [f("a", uid=3_000_000)], [("C", "/a", False, "owner 0:0 -> 3000000:0")]),
        ([f("a")], [f("a", pax_headers=CAPABILITY)], [("C", "/a", False, "xattr security.capability added")]),
        ([link("a", "b")], [link("a", "c")], [("C", "/a", False, "target b -> c")]),
        ([f("a")], [link("a", "c")], [("C", "/a", True, "file -> link")]),
        ([folder("d")], [folder("d", mode=0o700)], [("C", "/d", False, "mode 0755 -> 0700")]),
        ([folder("d")], [folder("d", mtime=9), f("d/x")], [("A", "/d/x", False)]),
        ([device("n")], [device("n", 5)], [("C", "/n", False, "device 1:3 -> 1:5")]),
        ([f("a"), hard_link("b", "a")], [f("a"), f("b")], []),
        (
            [f("a"), hard_link("b", "a")],
            [f("a", b"2"), hard_link("b", "a")],
            [("C", "/a", True), ("C", "/b", True)],
        ),
        ([], [f("na\udcef"), f("l" * 400)], [("A", "/" + "l" * 400, False), ("A", "/na\udcef", False)]),
    ],
)
def test_what_changed_is_told_and_nothing_else(old, new, expected):
    assert changes(old, new) == expected


def test_stubs_of_docker_are_no_changes():
    new = [f(".dockerenv", b""), f("etc/hosts", b""), folder("dev/pts"), f("dev/console", b""), f("etc/x")]

    assert changes([], new) == [("A", "/etc/x", False)]


def test_sizes_of_both_sides_are_known():
    (found,) = compare(
        read_entries([make_tar(f("a", b"1" * 5))]), read_entries([make_tar(f("a", b"2" * 7000))])
    )

    assert (found.old.size_bytes, found.new.size_bytes) == (5, 7000)


def test_two_images_are_compared_in_two_exports():
    engine = FakeEngine()
    old, new = engine.add_image("x:1"), engine.add_image("x:2")
    engine.files[old.id] = {"": make_tar(f("a"), f("b"))}
    engine.files[new.id] = {"": make_tar(f("b"), f("c"))}

    found = compare_images(engine, old.id, new.id)

    assert [(one.kind, one.path) for one in found] == [("D", "/a"), ("A", "/c")]
    assert engine.calls["export"] == 2


def test_an_image_and_itself_are_not_even_exported():
    engine = FakeEngine()
    image = engine.add_image("x:1")

    assert compare_images(engine, image.id, image.id) == []
    assert engine.calls["export"] == 0


def test_an_export_that_breaks_off_is_no_list_of_removed_files():
    engine = FakeEngine()
    old, new = engine.add_image("x:1"), engine.add_image("x:2")
    engine.files[old.id] = {"": make_tar(f("a"), f("b"))}
    engine.files[new.id] = {"": make_tar(f("a"), f("b"))[:1024]}

    with pytest.raises(EngineError, match="not whole"):
        compare_images(engine, old.id, new.id)


def test_when_one_export_fails_the_other_is_not_read_to_its_end():
    """An engine that went away is reported at once, not after gigabytes."""
    engine = FakeEngine()
    old, new = engine.add_image("x:1"), engine.add_image("x:2")
    closed = []

    def export(image):
        try:
            if image == new.id:
                raise NoEngine("it went away")
            yield member("endless", size=1 << 60).tobuf(tarfile.GNU_FORMAT)
            yield from itertools.repeat(bytes(512))
        finally:
            closed.append(image)

    engine.export = export

    with pytest.raises(NoEngine):
        compare_images(engine, old.id, new.id)

    assert set(closed) == {old.id, new.id}
