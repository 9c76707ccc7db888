"""The one tar that is unpacked on the host, and all that it must not do there."""

from __future__ import annotations

import os
import stat
import tarfile

import pytest

from stalker.errors import InputError, StalkerError
from stalker.image.folder_tar import tar_of_folder
from stalker.image.unpack import unpack
from unit.image.tars import device, folder, hard_link, link, make_tar, member, pieces, read_tar


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


def test_a_folder_is_a_tar_that_does_not_tell_who_made_it(tmp_path):
    """In order, owned by root, no time later than asked; a link stays a link."""
    source = tmp_path / "data"
    (source / "b").mkdir(parents=True)
    (source / "b/file").write_bytes(b"x" * 1000)
    (source / "b/file").chmod(0o640)
    os.utime(source / "b/file", (50, 50))
    (source / "a").symlink_to("b/file")
    (source / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    (source / ("n" * 200)).write_bytes(b"long")

    found = read_tar(tar_of_folder(str(source), latest_s=100))

    assert list(found) == ["a", "b", "b/file", "caf\udce9", "n" * 200]
    assert found["b/file"] == (tarfile.REGTYPE, 0o640, 0, 0, 50, "", None, {}, b"x" * 1000)
    assert found["a"][5] == "b/file"
    assert found["b"][4] == 100
    assert found["n" * 200][-1] == b"long"


def test_a_folder_with_a_pipe_in_it_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(StalkerError, match="is no file, folder or link"):
        list(tar_of_folder(str(tmp_path), latest_s=1))


def test_what_comes_out_of_a_folder_goes_into_another(tmp_path):
    source = tmp_path / "one"
    (source / "pool").mkdir(parents=True)
    (source / "pool/x").write_bytes(os.urandom(300_000))

    unpack(tar_of_folder(str(source), latest_s=2**31), tmp_path / "two", lambda _count: None)

    assert (tmp_path / "two/pool/x").read_bytes() == (source / "pool/x").read_bytes()
