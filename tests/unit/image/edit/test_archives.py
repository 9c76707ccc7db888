"""Archives that are unpacked into a file system: what is in them, and what is refused before anything is written."""

from __future__ import annotations

import base64
import io
import os
import stat
import struct
import subprocess
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import InputError, PlanError
from stalker.image.edit.archives import contents, members
from unit.image.edit.packed import PACK, info, make_zip, placed, read
from unit.image.tars import FORMATS, device, folder, hard_link, link, make_tar, member

LATIN = "caf\udce9.txt"
BIG = os.urandom(3 << 20)


@pytest.mark.parametrize("via", list(PACK))
def test_a_tar_is_read_however_it_is_packed(tmp_path, via):
    """Folders, files of any size, links and hard links come with their modes, owners and times."""
    data = make_tar(
        folder("./", mode=0o700),
        (member("a.txt", mode=0o640, uid=1000, gid=50, mtime=77), b"hello"),
        folder("deep/er", uid=7),
        (member("deep/er/big", mtime=-5), BIG),
        (member("empty"), b""),
        link("deep/up", "../a.txt", uid=3),
        hard_link("again", "./a.txt"),
    )
    path = placed(tmp_path, PACK[via](data))

    found = read(path, via, "/conf")

    assert list(found) == [
        "/conf",
        "/conf/deep/er",
        *(f"/conf/{one}" for one in ("a.txt", "deep/er/big")),
    ] + [f"/conf/{one}" for one in ("empty", "deep/up", "again")]
    entry, content = found["/conf/a.txt"]
    assert (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_s) == ("file", 0o640, 1000, 50, 77)
    assert (entry.size_bytes, content) == (5, b"hello")
    assert found["/conf/deep/er/big"][0].mtime_s == 0
    assert found["/conf/deep/er/big"][1] == BIG
    assert found["/conf/empty"][1] == b""
    assert (found["/conf"][0].mode, found["/conf/deep/er"][0].uid) == (0o700, 7)
    assert (found["/conf/deep/up"][0].kind, found["/conf/deep/up"][0].target) == ("link", "../a.txt")
    again = found["/conf/again"][0]
    assert (again.kind, again.target, again.mode, again.uid) == ("hardlink", "/conf/a.txt", 0o640, 1000)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_names_of_any_bytes_and_any_length_arrive(tmp_path, kind):
    """ustar, GNU and pax each have their own way to tell of long names and of bytes that are no UTF-8."""
    names = [LATIN, "ünïcode/☃", "/".join(["x" * 90] * (2 if kind == "ustar" else 30))]
    data = make_tar(*((name, name.encode("utf-8", "surrogateescape")) for name in names), kind=kind)
    path = placed(tmp_path, data)

    found = read(path, "tar")

    assert {name: content for name, (_, content) in found.items()} == {
        f"/d/{name}": name.encode("utf-8", "surrogateescape") for name in names
    }


def test_pax_tells_of_attributes_fractions_of_seconds_and_large_owners(tmp_path):
    """What has no place in the header of a member is taken from its records."""
    records = {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.capability": "\x01\x00x", "mtime": "12.9"}
    data = make_tar((member("a", pax_headers=records, uid=3_000_000_000), b"x"))
    notices: list[str] = []

    (entry,) = members(placed(tmp_path, data), "tar", "/d", notices=notices)

    assert entry.xattrs == ((b"security.capability", b"\x01\x00x"), (b"user.a", b"1"))
    assert (entry.mtime_s, entry.uid) == (12, 3_000_000_000)
    assert notices == ["a has capabilities"]


def test_setuid_files_are_taken_and_told(tmp_path):
    """Nobody should find out on the machine."""
    notices: list[str] = []
    data = make_tar((member("su", mode=0o6755, uid=0, gid=5), b"x"), (member("plain"), b"y"))

    entries = members(placed(tmp_path, data), "tar", "/d", notices=notices)

    assert entries[0].mode == 0o6755
    assert notices == ["su is setuid and setgid, of user 0, group 5"]


@pytest.mark.parametrize("sparse", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files_are_whole_files(tmp_path, sparse):
    """GNU tar has four ways to leave out holes; what comes out is what went in."""
    content = bytearray(3_000_000)
    for at in range(0, len(content), 40_000):
        content[at : at + 5000] = os.urandom(5000)
    source = tmp_path / "holes"
    with source.open("wb") as file:
        for at in range(0, len(content), 40_000):
            file.seek(at)
            file.write(content[at : at + 5000])
        file.truncate(len(content))
    form = ["--format=gnu"] if sparse == "gnu" else ["--format=pax", f"--sparse-version={sparse}"]
    with source.open("rb"):
        subprocess.run(
            ["tar", "-C", tmp_path, *form, "--sparse", "-cf", tmp_path / "archive", "holes"], check=True
        )
    assert (tmp_path / "archive").stat().st_size < 1_500_000

    found = read(tmp_path / "archive", "tar")

    entry, data = found["/d/holes"]
    assert entry.size_bytes == len(content)
    assert data == bytes(content)


def test_a_sparse_file_that_stores_more_than_its_map_says_is_refused(tmp_path):
    """A map that does not fit is no file."""
    records = {"GNU.sparse.map": "0,3", "GNU.sparse.size": "10", "GNU.sparse.name": "a"}
    path = placed(tmp_path, make_tar((member("a", pax_headers=records), b"12345")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert caught.value.brief == "archive is damaged"
    assert "sparse" in caught.value.details


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
        ([folder("d"), ("d", b"x")], "d: it is no folder, and a folder of the archive stands there"),
        ([("d/x", b"x"), link("d", "/etc")], "d: it is no folder, and a folder of the archive stands there"),
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
def test_a_member_that_leaves_the_folder_or_is_no_file_is_refused(tmp_path, refused, says):
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

    assert caught.value.details == "a: its attributes take more than 65.5 kB"


def test_more_names_than_memory_should_hold_are_refused(tmp_path, monkeypatch):
    """Folders that are only named count as well."""
    monkeypatch.setattr("stalker.image.edit.members.NAMES_MAX_BYTES", 1000)
    path = placed(tmp_path, make_tar(("/".join(["x"] * 60), b""), ("b", b"")))

    with pytest.raises(InputError, match="archive holds too many files"):
        members(path, "tar", "/d")


def test_a_nul_in_a_pax_name_is_refused(tmp_path):
    """A pax record can hold one; a file system cuts the name there."""
    path = placed(tmp_path, make_tar((member("a", pax_headers={"path": "x\0y"}), b"")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert r"x\x00y: its name holds a NUL" in caught.value.details


def test_all_problems_are_told_at_once(tmp_path):
    """An archive is mended once."""
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


@pytest.mark.parametrize("via", list(PACK))
def test_a_tar_that_ends_early_is_refused(tmp_path, via):
    """Wherever it was cut, and also where a member ended."""
    whole = make_tar(("a", os.urandom(1500)), ("b", os.urandom(3000)))
    packed = PACK[via](whole)
    cuts = {len(packed) // 2, len(packed) - 1} if via != "tar" else {512, 2048 + 512, 3000, 2048}

    for cut in cuts:
        path = placed(tmp_path, packed[:cut])
        with pytest.raises(InputError) as caught:
            members(path, via, "/d", called="b.tar")
        assert caught.value.brief == "b.tar is damaged"
        assert caught.value.details


@pytest.mark.parametrize("via", [one for one in PACK if one != "tar"])
def test_a_wrong_checksum_is_found(tmp_path, via):
    """A bit that fell over in a packed tar is not taken for content."""
    packed = bytearray(PACK[via](make_tar(("a", os.urandom(100_000)))))
    packed[len(packed) // 2] ^= 0x10
    path = placed(tmp_path, bytes(packed))

    with pytest.raises(InputError) as caught:
        members(path, via, "/d")

    assert caught.value.brief == "archive is damaged"


OTHER = {
    "tar": lambda data: data,
    "gztar": PACK["gztar"],
    "bztar": PACK["bztar"],
    "xztar": PACK["xztar"],
    "zstdtar": PACK["zstdtar"],
    "zip": lambda _: make_zip(("a", b"x")),
}
WORDS = {
    "tar": "a tar",
    "gztar": "packed with gzip",
    "bztar": "packed with bzip2",
    "xztar": "packed with xz",
    "zstdtar": "packed with zstd",
    "zip": "a zip",
}


@pytest.mark.parametrize("real", list(OTHER))
@pytest.mark.parametrize("via", list(OTHER))
def test_another_kind_than_was_said_is_named(tmp_path, via, real):
    """Every kind of archive for every `via`, whatever the file is called."""
    path = placed(tmp_path, OTHER[real](make_tar(("a", b"x"))), "misleading.tar.gz")
    if via == real:
        assert read(path, via)["/d/a"][1] == b"x"
        return

    with pytest.raises(InputError) as caught:
        members(path, via, "/d")

    assert caught.value.brief == f"misleading.tar.gz is {WORDS[real]}, and not {WORDS[via]}"
    assert caught.value.resolution == f"write via: {real}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<!DOCTYPE html><html>not found</html>" + b" " * 600, "archive is a web page, and not"),
        (b"Moved permanently\n", "archive is text, and not"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "archive is packed with 7-Zip, and not"),
        (bytes([7]) * 4000, "archive is no archive, and not"),
        (b"", "archive is empty"),
    ],
)
@pytest.mark.parametrize("via", ["tar", "gztar", "zip"])
def test_what_is_no_archive_is_named(tmp_path, via, data, says):
    """A page that says `not found` is what a download often is."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, data), via, "/d")

    assert caught.value.brief.startswith(says)


def test_what_is_packed_but_no_tar_is_named(tmp_path):
    """A packed web page."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, PACK["gztar"](b"<html>" * 200)), "gztar", "/d")

    assert caught.value.details == "there is no tar in it, it holds a web page"


def test_more_than_there_is_room_for_is_refused_by_what_is_said(tmp_path):
    """A bomb is told from its first header; nothing of it is unpacked."""
    bomb = PACK["gztar"](make_tar(("small", b"x"), ("zeros", bytes(50_000_000))))
    path = placed(tmp_path, bomb)

    with pytest.raises(InputError) as caught:
        members(path, "gztar", "/d", max_bytes=1_000_000)

    assert "holds more than 1.0 MB" in caught.value.brief
    assert "zeros" in caught.value.details
    assert read(path, "gztar", max_bytes=60_000_000)["/d/small"][1] == b"x"


def test_memory_does_not_follow_the_size_of_a_member(tmp_path):
    """40 MB of a member go through in a few MB, in a tar and in each way of a zip."""
    zeros = bytes(40 << 20)
    paths = [("gztar", placed(tmp_path, PACK["gztar"](make_tar(("z", zeros))), "tar"))]
    paths += [
        ("zip", placed(tmp_path, make_zip((info("z", method=method), zeros)), f"zip{method}"))
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]
    del zeros

    for via, path in paths:
        tracemalloc.start()
        entries = members(path, via, "/d")
        count = sum(len(piece) for _, data in contents(path, via, entries) for piece in data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 40 << 20
        assert peak < 16 << 20, path.name


def test_bytes_that_are_not_read_are_passed_over(tmp_path):
    """A file that needs no room is not asked for; the next one is right nevertheless."""
    data = make_tar(("a", os.urandom(700)), ("b", os.urandom(5000)), ("c", b"here"))
    path = placed(tmp_path, data)
    entries = members(path, "tar", "/d")

    seen = {}
    for entry, pieces in contents(path, "tar", [one for one in entries if one.path != "/d/b"]):
        seen[entry.path] = next(pieces) if entry.path == "/d/a" else b"".join(pieces)

    assert list(seen) == ["/d/a", "/d/c"]
    assert seen["/d/c"] == b"here"


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_no_program_is_left_when_the_reading_stops(tmp_path):
    """In the middle of a file, by a member that is refused, by too much, and at the end."""
    whole = make_tar(("a", os.urandom(5 << 20)), ("b", os.urandom(5 << 20)))
    path = placed(tmp_path, PACK["zstdtar"](whole))
    before = children()

    entries = members(path, "zstdtar", "/d")
    reading = contents(path, "zstdtar", entries)
    _, pieces = next(reading)
    next(pieces)
    during = children()
    reading.close()
    with pytest.raises(InputError) as caught:
        members(path, "zstdtar", "/d", max_bytes=1)

    assert during > before
    assert children() == before
    assert caught.value.exit_code == 4


def test_a_program_that_is_not_installed_is_named(tmp_path, monkeypatch):
    """With what installs it."""
    path = placed(tmp_path, PACK["zstdtar"](make_tar(("a", b""))))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PlanError) as caught:
        members(path, "zstdtar", "/d")

    assert (caught.value.details, caught.value.resolution) == (
        "zstd is not installed",
        "apt-get install zstd",
    )


def test_an_archive_that_changes_between_the_readings_is_refused(tmp_path):
    """What was checked is what is written."""
    path = placed(tmp_path, make_tar(("a", b"12345")))
    entries = members(path, "tar", "/d")

    for other in (make_tar(("a", b"1234567")), make_tar(), make_tar(link("a", "b"))):
        placed(tmp_path, other)
        with pytest.raises(InputError) as caught:
            list(contents(path, "tar", entries))
        assert caught.value.brief == "archive was changed while it was read"


def test_an_empty_file_that_becomes_a_link_is_refused(tmp_path):
    """It has the same size, and is no file."""
    path = placed(tmp_path, make_tar(("a", b"")))
    entries = members(path, "tar", "/d")
    placed(tmp_path, make_tar(link("a", "b")))

    with pytest.raises(InputError, match="was changed while it was read"):
        list(contents(path, "tar", entries))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_is_read_however_its_members_are_packed(tmp_path, method):
    """All is root's; modes are those of a Unix where they are told, else the usual ones."""
    data = make_zip(
        (info("folder/", mode=0o40750), b""),
        (info("folder/run", mode=0o100755, method=method), BIG),
        (info("plain", method=method), b""),
        (info("text", method=method), b"hello " * 1000),
        (info("folder/l", mode=stat.S_IFLNK | 0o777), b"../text"),
        (info("other/"), b""),
    )

    found = read(placed(tmp_path, data), "zip")

    assert {path: (one.kind, one.mode, one.uid, one.gid) for path, (one, _) in found.items()} == {
        "/d/folder": ("folder", 0o750, 0, 0),
        "/d/other": ("folder", 0o755, 0, 0),
        "/d/folder/run": ("file", 0o755, 0, 0),
        "/d/plain": ("file", 0o644, 0, 0),
        "/d/text": ("file", 0o644, 0, 0),
        "/d/folder/l": ("link", 0o777, 0, 0),
    }
    assert found["/d/folder/run"][1] == BIG
    assert found["/d/text"][1] == b"hello " * 1000
    assert found["/d/folder/l"][0].target == "../text"
    assert found["/d/text"][0].mtime_s == 981173106


def test_a_zip_of_more_than_4_gb_says_so_in_its_64_bit_fields(tmp_path):
    """zip64 for one member; sizes in the directory are those of the extra field."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive, archive.open(info("a"), "w", force_zip64=True) as file:
        file.write(b"content")
    data = into.getvalue()
    at = data.index(b"PK\x01\x02")
    extra = struct.pack("<HHQQ", 1, 16, 7, 7)
    directory = bytearray(data[at : data.index(b"PK\x05\x06")])
    directory[20:28] = b"\xff" * 8
    directory[30:32] = struct.pack("<H", len(extra))
    end = bytearray(data[data.index(b"PK\x05\x06") :])
    end[12:16] = struct.pack("<I", len(directory) + len(extra))

    found = read(placed(tmp_path, data[:at] + bytes(directory) + extra + bytes(end)), "zip")

    assert found["/d/a"][1] == b"content"


def test_the_zip_program_is_understood(tmp_path):
    """Names in UTF-8 and Latin 1, times in UTC, links, and a password."""
    (tmp_path / "in/ünï").mkdir(parents=True)
    (tmp_path / "in/ünï/☃.txt").write_bytes(b"snow")
    os.utime(tmp_path / "in/ünï/☃.txt", (1_000_000_001, 1_000_000_001))
    (tmp_path / "in/link").symlink_to("ünï/☃.txt")
    for locale in ("C", "C.UTF-8"):
        subprocess.run(
            ["zip", "-qry", tmp_path / f"{locale}.zip", "."],
            cwd=tmp_path / "in",
            env={"PATH": os.environ["PATH"], "LC_ALL": locale},
            check=True,
        )

        found = read(tmp_path / f"{locale}.zip", "zip")

        assert found["/d/ünï/☃.txt"][1] == b"snow", locale
        assert found["/d/ünï/☃.txt"][0].mtime_s == 1_000_000_001
        assert found["/d/link"][0].target == "ünï/☃.txt"

    subprocess.run(["zip", "-qrP", "pw", tmp_path / "s.zip", "ünï"], cwd=tmp_path / "in", check=True)
    with pytest.raises(InputError) as caught:
        members(tmp_path / "s.zip", "zip", "/d")
    assert "ünï/☃.txt: it is encrypted" in caught.value.details


@pytest.mark.parametrize(
    ("stored", "system", "name"),
    [
        (b"caf\x82.txt", 0, "café.txt"),
        (b"caf\x82.txt", 3, "café.txt"),
        (b"caf\xc3\xa9.txt", 3, "café.txt"),
        (b"caf\xc3\xa9.txt", 0, "caf├⌐.txt"),
        (b"a\\bx.txt", 0, "a/bx.txt"),
        (b"a\\bx.txt", 3, "a\\bx.txt"),
    ],
)
def test_names_of_a_zip_without_the_flag(tmp_path, stored, system, name):
    """They are in the code page of DOS, unless a Unix wrote what is plainly UTF-8; DOS may part them its way."""
    stand_in = "x" * len(stored)
    data = make_zip((info(stand_in, create_system=system), b"x")).replace(stand_in.encode(), stored)

    found = read(placed(tmp_path, data), "zip")

    assert list(found) == [f"/d/{name}"]


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (info("/etc/passwd"), "/etc/passwd: its name is absolute"),
        (info("../x"), "../x: its name leads out"),
        (info("..\\x", create_system=0), "../x: its name leads out"),
        (info("l", mode=stat.S_IFLNK | 0o777), "l: it is a link to /etc, which is absolute"),
        (info("n", mode=stat.S_IFCHR | 0o666), "n: it is a device"),
        (info("p", mode=stat.S_IFIFO | 0o666), "p: it is a pipe"),
        (info("s", mode=stat.S_IFSOCK | 0o666), "s: it is a socket"),
        (info("fine/below"), "fine/below: it stands below the file fine"),
    ],
)
def test_a_member_of_a_zip_is_refused_as_one_of_a_tar(tmp_path, refused, says):
    """The same rules hold."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, make_zip(("fine", b"x"), (refused, b"/etc"))), "zip", "/d")

    assert says in caught.value.details


def patched_zip(data: bytes, offset: int, form: str, value: int) -> bytes:
    """Write a field of the first entry of the directory."""
    into = bytearray(data)
    struct.pack_into(form, into, data.index(b"PK\x01\x02") + offset, value)
    return bytes(into)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.parametrize("said", [99_000, 101_000])
def test_a_member_of_another_size_than_was_said_is_refused(tmp_path, method, said):
    """No more is ever given than was said, whatever its checksum is."""
    content = bytes(range(250)) * 400
    data = patched_zip(make_zip((info("a", method=method), content)), 24, "<I", said)
    data = patched_zip(data, 16, "<I", zlib.crc32(content[:said]))
    path = placed(tmp_path, data)
    entries = members(path, "zip", "/d")

    reading = contents(path, "zip", entries)
    _, pieces = next(reading)
    given = []
    with pytest.raises(InputError) as caught:
        given.extend(pieces)

    assert caught.value.brief == "archive is damaged"
    assert sum(map(len, given)) <= said


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_member_of_a_zip_is_refused(tmp_path, method):
    """By its checksum, or because it cannot be unpacked."""
    data = bytearray(make_zip((info("a", method=method), os.urandom(50_000))))
    data[25_000] ^= 1
    path = placed(tmp_path, bytes(data))
    entries = members(path, "zip", "/d")

    reading = contents(path, "zip", entries)
    _, pieces = next(reading)
    with pytest.raises(InputError) as caught:
        list(pieces)

    assert caught.value.brief == "archive is damaged"


def test_a_zip_that_ends_early_or_is_packed_in_an_unknown_way_is_refused(tmp_path):
    """The way is named."""
    whole = make_zip(("a", b"x" * 5000))
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, whole[:3000]), "zip", "/d")
    assert caught.value.brief == "archive is damaged"

    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, patched_zip(whole, 10, "<H", 93)), "zip", "/d")
    assert "a: it is packed with zstd" in caught.value.details


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_archive_gives_its_content_or_an_error_of_ours(tmp_path, data):
    """Whatever bytes are changed or cut off, nothing else comes out."""
    content = bytes(range(256)) * 8
    via = data.draw(st.sampled_from([*PACK, "zip"]))
    if via == "zip":
        method = data.draw(st.sampled_from([0, 8, 12, 14]))
        whole = bytearray(make_zip((info("a", method=method), content), ("b/c", b"x")))
    else:
        whole = bytearray(PACK[via](make_tar(("a", content), ("b/c", b"x"), link("l", "a"))))
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)
    ):
        whole[at] = value
    path = placed(tmp_path, bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))]))

    try:
        found, brief = read(path, via), "archive "
    except InputError as error:
        found, brief = {}, error.brief

    assert brief.startswith("archive ")
    assert all(one.size_bytes == len(got) for one, got in found.values() if one.kind == "file")


NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."})
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.tuples(st.binary(max_size=3000), st.integers(0, 0o7777), st.integers(0, 2**31), st.integers(0, 65000)),
    max_size=8,
).filter(lambda tree: not any(other.startswith(f"{one}/") for one in tree for other in tree))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES, st.sampled_from(list(FORMATS)[1:]), st.sampled_from(list(PACK)))
def test_any_tree_of_a_tar_is_read_as_it_is(tmp_path, tree, kind, via):
    """What tarfile writes is what is read."""
    parts = [
        (member(name, mode=mode, mtime=mtime, uid=uid, gid=uid + 1), content)
        for name, (content, mode, mtime, uid) in tree.items()
    ]
    path = placed(tmp_path, PACK[via](make_tar(*parts, kind=kind)))

    found = read(path, via, "/")

    assert {
        path[1:]: (content, one.mode, one.mtime_s, one.uid) for path, (one, content) in found.items()
    } == tree
    assert all(one.gid == one.uid + 1 for one, _ in found.values())


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES, st.sampled_from([0, 8, 12, 14]))
def test_any_tree_of_a_zip_is_read_as_it_is(tmp_path, tree, method):
    """What zipfile writes is what is read."""
    parts = [
        (info(name, mode=stat.S_IFREG | mode, method=method), content)
        for name, (content, mode, _, _) in tree.items()
    ]
    path = placed(tmp_path, make_zip(*parts))

    found = read(path, "zip", "/")

    assert {path[1:]: (content, one.mode) for path, (one, content) in found.items()} == {
        name: (content, mode or 0o644) for name, (content, mode, _, _) in tree.items()
    }


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 100))
def test_base64_is_one_file(tmp_path, content, width):
    """With lines of any length."""
    letters = base64.b64encode(content)
    lines = b"\r\n".join(letters[at : at + width] for at in range(0, len(letters), width))
    path = placed(tmp_path, lines + b"\n")

    found = read(path, "base64", "/conf/a")

    assert list(found) == ["/conf/a"]
    assert found["/conf/a"][1] == content
    assert (found["/conf/a"][0].mode, found["/conf/a"][0].uid) == (0o644, 0)


def test_base64_is_read_in_pieces(tmp_path):
    """A file larger than what is read at once, its groups cut anywhere."""
    path = placed(tmp_path, b"\n" + base64.encodebytes(BIG))

    assert read(path, "base64", "/a")["/a"][1] == BIG


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"aGVsbG8", "it ends early"),
        (b"aGV*bG8=", "base64"),
        (b"<html>not found</html>", ""),
        (b"aGVsbG8=aGVsbG8=", ""),
        (b"aGVsbG8=" + b"\n" * (1 << 20) + b"aGVs", "something stands behind its end"),
    ],
)
def test_what_is_no_base64_is_refused(tmp_path, text, says):
    """Letters that do not belong there, or a group that is cut."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, text), "base64", "/d", called="key.b64")

    assert caught.value.brief == "key.b64 is no base64"
    assert says in caught.value.details


def test_base64_of_more_than_there_is_room_for_is_refused(tmp_path):
    """It is counted as it is decoded."""
    with pytest.raises(InputError, match="holds more than"):
        members(placed(tmp_path, base64.b64encode(bytes(5000))), "base64", "/d", max_bytes=1000)
