"""The one tar that is unpacked on the host, and all that it must not do there."""

from __future__ import annotations

import os
import stat
import tarfile

import pytest

from stalker.artifacts.repository import unpack
from stalker.errors import InputError, StalkerError
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member, pieces


def unpacked(tmp_path, *members):
    target = tmp_path / "repo"
    counted = []
    count = unpack(pieces(make_tar(*members), 700), target, counted.append)
    return target, count, sum(counted)


def test_files_folders_and_links_are_made(tmp_path):
    """Without owners and special bits; programs stay executable; times are those of the archive."""
    target, count, size = unpacked(
        tmp_path,
        folder("./"),
        folder("pool", uid=5, mode=0o700),
        (member("pool/a.deb", mode=0o4755, uid=5, mtime=77), b"content"),
        hard_link("pool/b.deb", "pool/a.deb"),
        link("latest", "pool/a.deb"),
        link("pool/up", "../pool/./b.deb"),
        ("deep/in/file", b"no folder told of it"),
    )

    assert (count, size) == (3, 27)
    assert (target / "pool/a.deb").read_bytes() == b"content"
    assert stat.S_IMODE((target / "pool/a.deb").stat().st_mode) & 0o7700 == 0o700
    assert (target / "pool/a.deb").stat().st_mtime == 77
    assert (target / "pool/b.deb").samefile(target / "pool/a.deb")
    assert os.readlink(target / "latest") == "pool/a.deb"
    assert (target / "pool/up").read_bytes() == b"content"
    assert (target / "pool").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "members",
    [
        [("../out", b"x")],
        [("a/../../out", b"x")],
        [link("a", "/etc/passwd")],
        [link("a", "../out")],
        [folder("d"), link("d/a", "../../out")],
        [hard_link("a", "../../etc/passwd")],
        [device("null")],
        [member("pipe", type=tarfile.FIFOTYPE)],
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path, members):
    (tmp_path / "out").write_text("mine")

    with pytest.raises(StalkerError, match="cannot be published"):
        unpacked(tmp_path, *members)

    assert (tmp_path / "out").read_text() == "mine"


def test_nothing_is_written_through_a_link(tmp_path):
    """A link to a folder, and then a file below that name: an old trick."""
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises((StalkerError, OSError)):
        unpacked(tmp_path, link("a", "b"), folder("b"), folder("a"), ("a/x", b"1"))

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_name_that_comes_twice_is_an_error(tmp_path):
    with pytest.raises(FileExistsError):
        unpacked(tmp_path, ("a", b"1"), ("a", b"2"))


def test_an_archive_that_ends_early_is_noticed(tmp_path):
    with pytest.raises(InputError, match="ended early"):
        unpack([make_tar(("a", b"x" * 2000))[:1200]], tmp_path / "repo", lambda _count: None)
