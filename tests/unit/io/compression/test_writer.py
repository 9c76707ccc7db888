from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from stalker.errors import PlanError, StalkerError
from stalker.io.compression import writer
from stalker.io.compression.writer import plan_target, written

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"some bytes " * 50_000


def write(*paths: Path, data: bytes = DATA) -> None:
    with written([plan_target(str(path)) for path in paths]) as artifacts:
        for one in artifacts:
            one.write(data)


def spoil(error: type[BaseException], *paths: Path) -> None:
    """Fail when all is written and nothing is finished."""
    with written([plan_target(str(path)) for path in paths]) as artifacts:
        for one in artifacts:
            one.write(DATA)
        raise error("in the middle")


def unpacked(path: Path) -> bytes:
    if path.name.endswith("zst"):
        return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    if path.name.endswith("gz"):
        return gzip.decompress(path.read_bytes())
    return lzma.decompress(path.read_bytes()) if path.name.endswith("xz") else path.read_bytes()


@pytest.fixture
def without_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    "name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.txz", "a.tar.zst", "a.tzst", "A.TAR.GZ"]
)
def test_the_ending_says_how_it_is_packed(tmp_path, name):
    if name.endswith("zst") and not shutil.which("zstd"):
        pytest.skip("no zstd")
    path = tmp_path / name

    write(path)

    assert unpacked(path.rename(tmp_path / name.lower())) == DATA
    assert os.listdir(tmp_path) == [name.lower()]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz"])
def test_python_packs_where_no_program_does(tmp_path, without_programs, name):
    write(tmp_path / name)

    assert unpacked(tmp_path / name) == DATA


def test_without_zstd_nothing_is_begun(tmp_path, without_programs):
    """Who asks for .tar.zst without zstd hears at once what to install or to ask for instead."""
    with pytest.raises(PlanError, match="zstd is not installed") as caught:
        plan_target(str(tmp_path / "a.tar.zst"))

    assert "apt-get install zstd" in caught.value.resolution
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.zip", "ending"),
        ("a", "ending"),
        ("a.gz", "ending"),
        ("no/where/a.tar", "no folder"),
        ("folder.tar", "is a folder"),
    ],
)
def test_a_target_that_cannot_be_is_refused_first(tmp_path, name, said):
    (tmp_path / "folder.tar").mkdir()

    with pytest.raises(PlanError, match=said) as caught:
        plan_target(str(tmp_path / name))

    assert caught.value.resolution


def test_a_terminal_gets_no_tar(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    with pytest.raises(PlanError, match="terminal"):
        plan_target("-")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, StalkerError])
@pytest.mark.parametrize("was_there", [True, False])
def test_a_failure_leaves_all_as_it_was(tmp_path, name, error, was_there):
    """After an error or Ctrl-C there is neither a new file nor a temporary one, and an old one is whole."""
    path = tmp_path / name
    if was_there:
        path.write_bytes(b"old")

    with pytest.raises(error):
        spoil(error, path)

    assert os.listdir(tmp_path) == ([name] if was_there else [])
    assert not was_there or path.read_bytes() == b"old"


def test_a_failure_of_the_second_file_keeps_back_the_first(tmp_path):
    """Root and boot tar belong together: none appears without the other."""
    with pytest.raises(StalkerError):
        spoil(StalkerError, tmp_path / "root.tar", tmp_path / "boot.tar")

    assert os.listdir(tmp_path) == []


def test_while_it_is_written_the_old_file_stands_and_nothing_else(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")

    with written([plan_target(str(path))]) as (one,):
        one.write(DATA)
        during = (os.listdir(tmp_path), path.read_bytes())

    assert during == (["a.tar"], b"old")
    assert path.read_bytes() == DATA


def test_where_no_nameless_files_are_known_a_named_one_is_used_and_removed(tmp_path, monkeypatch):
    """Some file systems (NFS, older overlays) refuse O_TMPFILE."""
    real = os.open

    def refuse(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(writer.os, "open", refuse)
    path = tmp_path / "a.tar"

    with pytest.raises(ValueError, match="in the middle"):
        spoil(ValueError, path)
    after_failure = os.listdir(tmp_path)
    write(path)

    assert after_failure == []
    assert os.listdir(tmp_path) == ["a.tar"]
    assert path.read_bytes() == DATA


def test_a_new_file_gets_the_rights_the_user_gives_new_files(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "a.tar")
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_rights(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"secret")
    path.chmod(0o600)

    write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_stays_and_what_it_points_at_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "latest.tar").symlink_to("real/v1.tar")

    write(tmp_path / "latest.tar")

    assert (tmp_path / "latest.tar").is_symlink()
    assert (tmp_path / "real/v1.tar").read_bytes() == DATA


def test_a_device_is_written_to_and_never_replaced(tmp_path):
    """A named pipe as FILE passes the tar on to whoever reads it."""
    pipe = tmp_path / "pipe.tar"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)

    write(pipe, data=b"few bytes")

    assert reader.communicate()[0] == b"few bytes"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_packing_program_that_fails_is_named_with_what_it_said(tmp_path, monkeypatch):
    broken = tmp_path / "bin" / "xz"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'disk on fire' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    path = tmp_path / "a.tar.xz"

    with pytest.raises(StalkerError, match="xz failed") as caught:
        write(path, data=DATA * 20)

    assert "disk on fire" in caught.value.details
    assert os.listdir(tmp_path) == ["bin"]


def test_a_full_disk_is_told_in_our_words(tmp_path):
    """/dev/full stands in for it."""
    (tmp_path / "full.tar").symlink_to("/dev/full")

    with pytest.raises(StalkerError, match="could not write") as caught:
        write(tmp_path / "full.tar")

    assert "No space left" in caught.value.details


def test_equal_content_gives_equal_files(tmp_path):
    """No name and no time of packing is in the file."""
    write(tmp_path / "a.tar.gz")
    write(tmp_path / "b.tar.gz")

    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
