"""Tar archives however compressed: names, attributes, sparse files, damage."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import InputError
from stalker.formats.archive.open import members
from unit.helpers.compressed import PACK, placed, read
from unit.helpers.tars import FORMATS, folder, hard_link, link, make_tar, member

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
    """ustar, GNU and pax each have their own way to tell of long names and of bytes that are not UTF-8."""
    names = [LATIN, "ünïcode/☃", "/".join(["x" * 90] * (2 if kind == "ustar" else 30))]
    data = make_tar(*((name, name.encode("utf-8", "surrogateescape")) for name in names), kind=kind)
    path = placed(tmp_path, data)

    found = read(path, "tar")

    assert {name: content for name, (_, content) in found.items()} == {
        f"/d/{name}": name.encode("utf-8", "surrogateescape") for name in names
    }


def test_pax_records_give_attributes_fractions_of_seconds_and_large_owners(tmp_path):
    """What has no place in the header of a member is taken from its records."""
    records = {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.capability": "\x01\x00x", "mtime": "12.9"}
    data = make_tar((member("a", pax_headers=records, uid=3_000_000_000), b"x"))
    notices: list[str] = []

    (entry,) = members(placed(tmp_path, data), "tar", "/d", notices=notices)

    assert entry.xattrs == ((b"security.capability", b"\x01\x00x"), (b"user.a", b"1"))
    assert (entry.mtime_s, entry.uid) == (12, 3_000_000_000)
    assert notices == ["a has capabilities"]


def test_setuid_files_are_taken_and_reported(tmp_path):
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
    """A map that does not fit is not a file."""
    records = {"GNU.sparse.map": "0,3", "GNU.sparse.size": "10", "GNU.sparse.name": "a"}
    path = placed(tmp_path, make_tar((member("a", pax_headers=records), b"12345")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert caught.value.brief == "archive is damaged"
    assert "sparse" in caught.value.details


def test_a_nul_in_a_pax_name_is_refused(tmp_path):
    """A pax record can hold one; a file system cuts the name there."""
    path = placed(tmp_path, make_tar((member("a", pax_headers={"path": "x\0y"}), b"")))

    with pytest.raises(InputError) as caught:
        members(path, "tar", "/d")

    assert r"x\x00y: its name holds a NUL" in caught.value.details


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
