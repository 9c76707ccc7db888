"""A directory of the host as a tar."""

from __future__ import annotations

import os
import tarfile

import pytest

from stalker.artifacts.repository import unpack
from stalker.errors import StalkerError
from stalker.formats.tar.from_directory import tar_of_folder
from unit.helpers.tars import read_tar


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

    with pytest.raises(StalkerError, match="is not a file, folder or link"):
        list(tar_of_folder(str(tmp_path), latest_s=1))


def test_what_comes_out_of_a_folder_goes_into_another(tmp_path):
    source = tmp_path / "one"
    (source / "pool").mkdir(parents=True)
    (source / "pool/x").write_bytes(os.urandom(300_000))

    unpack(tar_of_folder(str(source), latest_s=2**31), tmp_path / "two", lambda _count: None)

    assert (tmp_path / "two/pool/x").read_bytes() == (source / "pool/x").read_bytes()
