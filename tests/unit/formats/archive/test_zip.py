"""Zip archives: names, methods, sizes, damage."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import InputError
from stalker.formats.archive.open import contents, members
from unit.helpers.compressed import info, make_zip, placed, read

BIG = os.urandom(3 << 20)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_is_read_however_its_members_are_packed(tmp_path, method):
    """All is root's; modes are those of a Unix where they are reported, else the usual ones."""
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


JAPANESE, RUSSIAN = "日本/表.txt", "книга.txt"


def zip_of_names(*stored: bytes, system: int = 0) -> bytes:
    """Return a zip with these names as they are, without the mark of UTF-8."""
    stand_ins = [chr(ord("0") + at) * len(name) for at, name in enumerate(stored)]
    data = make_zip(*((info(one, create_system=system), b"x") for one in stand_ins))
    for stand_in, name in zip(stand_ins, stored, strict=True):
        data = data.replace(stand_in.encode(), name)
    return data


@pytest.mark.parametrize(("name", "encoding"), [(JAPANESE, "cp932"), (RUSSIAN, "cp866"), (RUSSIAN, "utf-8")])
def test_names_of_other_code_pages_are_read_by_their_encoding(tmp_path, name, encoding):
    """Without a notice then; one byte of a letter of cp932 is the separator of DOS."""
    notices = []
    path = placed(tmp_path, zip_of_names(name.encode(encoding)))

    assert list(read(path, "zip", encoding=encoding, notices=notices)) == [f"/d/{name}"]
    assert notices == []


def test_an_encoding_does_not_count_for_names_that_say_theirs(tmp_path):
    """By the mark of UTF-8, or in the field of Info-ZIP."""
    stored = RUSSIAN.encode("cp866")
    told = info("x" * len(stored), create_system=0)
    field = b"\x01" + struct.pack("<I", zlib.crc32(stored)) + JAPANESE.encode()
    told.extra = struct.pack("<HH", 0x7075, len(field)) + field
    data = make_zip((told, b""), ("é", b"")).replace(b"x" * len(stored), stored)

    assert set(read(placed(tmp_path, data), "zip", encoding="cp932")) == {f"/d/{JAPANESE}", "/d/é"}


def test_a_name_that_may_be_read_wrongly_is_shown(tmp_path):
    """One of them, and how many more there are."""
    notices = []
    names = (b"plain.txt", RUSSIAN.encode("cp866"), "два".encode("cp866"))

    read(placed(tmp_path, zip_of_names(*names)), "zip", called="books.zip", notices=notices)

    (notice,) = notices
    assert notice.startswith("books.zip: warning: the name ")
    assert f"{names[1].decode('cp437')} is not marked as UTF-8 and was read as cp437, and 1 more" in notice
    assert "`encoding`" in notice


def test_a_name_that_is_not_in_the_encoding_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        read(placed(tmp_path, zip_of_names(b"a\xff\xff")), "zip", encoding="utf-8")

    assert "is not marked as UTF-8, and is not utf-8" in caught.value.details


def test_a_link_is_in_the_encoding_of_its_name(tmp_path):
    link = (info("l", mode=stat.S_IFLNK | 0o777), RUSSIAN.encode("cp866"))

    assert read(placed(tmp_path, make_zip(link)), "zip", encoding="cp866")["/d/l"][0].target == RUSSIAN


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


NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."})


TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.tuples(st.binary(max_size=3000), st.integers(0, 0o7777), st.integers(0, 2**31), st.integers(0, 65000)),
    max_size=8,
).filter(lambda tree: not any(other.startswith(f"{one}/") for one in tree for other in tree))


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
