"""Members of an archive that are taken, refused, or replaced by later ones."""

from __future__ import annotations

import tarfile

import pytest

from stalker.errors import InputError
from stalker.formats.archive.open import members
from unit.helpers.compressed import placed, read
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ([("/etc/passwd", b"x")], "/etc/passwd: its name is absolute"),
        ([("a/../../etc/x", b"x")], "a/../../etc/x: its name leads out of the folder by '..'"),
        ([("..", b"x")], "..: its name leads out"),
        ([link("l", "d"), ("l/x", b"x")], "l/x: it stands below the link l"),
        ([link("l", "d"), ("l/deep/x", b"x")], "l/deep/x: it stands below the link l"),
        ([("f", b"x"), ("f/x", b"x")], "f/x: it stands below the file f"),
        ([hard_link("h", "nothing")], "h: it is a hard link to nothing, and no such file is before it"),
        ([hard_link("h", "later"), ("later", b"")], "h: it is a hard link to later, and no such file"),
        ([hard_link("h", "../../etc/shadow")], "h: it is a hard link to ../../etc/shadow: its name leads"),
        ([hard_link("h", "/etc/shadow")], "h: it is a hard link to /etc/shadow: its name is absolute"),
        ([folder("d"), hard_link("h", "d")], "h: it is a hard link to d, and that is a folder"),
        ([("h", b""), hard_link("h", "h")], "h: it is a hard link to h, and no such file is before it"),
        (
            [("f", b""), hard_link("h", "f"), ("f", b"")],
            "f: it is there twice, and a hard link names the first",
        ),
        ([device("null")], "null: it is a device"),
        ([member("sda", type=tarfile.BLKTYPE)], "sda: it is a device"),
        ([member("pipe", type=tarfile.FIFOTYPE)], "pipe: it is a pipe"),
        ([member("odd", type=b"Z")], "odd: it is a member of the unknown kind b'Z'"),
        ([("a\nb", b"x")], r"a\nb: its name holds a line feed"),
        ([("a\x1b[2Jb", b"x")], r"a\x1b[2Jb: its name holds an escape"),
        ([("a\x85b", b"x")], r"a\x85b: its name holds the control character U+0085"),
        ([("x" * 256, b"x")], "a part of its name is longer than 255 bytes"),
        ([("é" * 128, b"x")], "a part of its name is longer than 255 bytes"),
        ([("/".join(["x" * 200] * 21), b"x")], "its path is longer than 4095 bytes"),
        ([folder("d"), ("d", b"x")], "d: it is not a folder, and a folder of the archive stands there"),
        (
            [("d/x", b"x"), link("d", "/etc")],
            "d: it is not a folder, and a folder of the archive stands there",
        ),
        ([("d", b"x"), folder("d")], "d/: it is a folder, and a file of the archive stands there"),
        ([link("d", "e"), folder("d")], "d/: it is a folder, and a file of the archive stands there"),
        ([link("l", "/etc/passwd")], "l: it is a link to /etc/passwd, which is absolute"),
        ([link("a/l", "../../x")], "a/l: it is a link to ../../x, which leads out of the folder"),
        ([link("d/up", "."), link("l", "d/up/../../x")], "l: it is a link to d/up/../../x, which leads out"),
        ([link("a", "b"), link("b", "a")], "a: it is a link to b, which leads through too many links"),
        ([link("l", "a\nb")], r"l: it is a link to a\nb, which holds a line feed"),
        ([link("l", "")], "l: it is a link that says nothing"),
        ([link("l", "x" * 4096)], "l: it is a link to more than 4095 bytes"),
        ([(member("a", uid=-1), b"")], "a: its owner has the number -1"),
        ([link("a", "x/../" * 800 + "b"), link("c", "a/../" * 800)], "c: it is a link to "),
    ],
)
def test_a_member_outside_the_directory_or_of_another_kind_is_refused(tmp_path, refused, says):
    """Before anything is written, with its name and why."""
    path = placed(tmp_path, make_tar(("fine", b"x"), *refused, kind="gnu"))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d", called="books.tar")

    assert says in caught.value.details
    assert caught.value.brief.startswith("books.tar has ")
    assert caught.value.exit_code == 4


def test_attributes_that_no_file_system_holds_are_refused(tmp_path):
    """They would fill the memory."""
    records = {"SCHILY.xattr.user.a": "x" * 70_000}
    path = placed(tmp_path, make_tar((member("a", pax_headers=records), b"")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert caught.value.details == "a: its attributes take more than 64 KiB"


def test_more_names_than_memory_should_hold_are_refused(tmp_path, monkeypatch):
    """Folders that are only named count as well."""
    monkeypatch.setattr("stalker.formats.archive.members.NAMES_MAX_BYTES", 1000)
    path = placed(tmp_path, make_tar(("/".join(["x"] * 60), b""), ("b", b"")))

    with pytest.raises(InputError, match="archive holds too many files"):
        members(path, "tar", "/d")


def test_all_problems_are_reported_at_once(tmp_path):
    """An archive is repaired once."""
    path = placed(tmp_path, make_tar(device("a"), ("../b", b""), link("c", "/")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert caught.value.brief == "archive has 3 members that cannot be unpacked"
    assert [line.split(":")[0] for line in caught.value.details.splitlines()] == ["a", "../b", "c"]


def test_many_problems_are_counted(tmp_path):
    """A thousand lines help nobody."""
    path = placed(tmp_path, make_tar(*(device(f"n{count}") for count in range(1000))))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert caught.value.details.splitlines()[-1] == "and 980 more"


@pytest.mark.parametrize(
    "links",
    [
        [link("a/l", "../b")],
        [link("l", "d/../x")],
        [link("d/e/up", ".."), link("l", "d/e/up/x")],
        [link("here", ".")],
    ],
)
def test_a_link_that_stays_in_the_folder_is_taken(tmp_path, links):
    """Also one that goes up and down again, or to what is not there."""
    found = read(placed(tmp_path, make_tar(*links)), "tar")

    assert {f"/d/{one.name}": one.linkname for one in links} == {
        path: entry.target for path, (entry, _) in found.items()
    }


def test_what_is_there_twice_is_there_once_as_the_last_one(tmp_path):
    """As tar does it: a file is replaced, a folder gets the later mode."""
    data = make_tar(
        folder("d", mode=0o700),
        ("d/f", b"the first"),
        ("b", b"between"),
        link("l", "b"),
        ("d/f", b"second"),
        folder("./d/", mode=0o711),
        ("l", b"no link now"),
    )

    found = read(placed(tmp_path, data), "tar", "/")

    assert {path: content for path, (_, content) in found.items()} == {
        "/d": None,
        "/d/f": b"second",
        "/b": b"between",
        "/l": b"no link now",
    }
    assert found["/d"][0].mode == 0o711


def test_a_folder_that_comes_behind_its_files_has_its_mode(tmp_path):
    """A folder that stands in a file system stays as it is, so it has to be made before they are."""
    entries = members(placed(tmp_path, make_tar(("d/f", b"x"), folder("d", mode=0o700))), "tar", "/")

    assert [(one.path, one.mode) for one in entries] == [("/d", 0o700), ("/d/f", 0o644)]


def test_hard_links_of_hard_links_and_of_links(tmp_path):
    """All name the first file; that of a symbolic link is another one."""
    data = make_tar(
        ("a", b"x"), hard_link("b", "a"), hard_link("c", "b"), link("l", "a"), hard_link("m", "l")
    )

    found = read(placed(tmp_path, data), "tar")

    assert [(found[f"/d/{one}"][0].kind, found[f"/d/{one}"][0].target) for one in "bclm"] == [
        ("hardlink", "/d/a"),
        ("hardlink", "/d/a"),
        ("link", "a"),
        ("link", "a"),
    ]
