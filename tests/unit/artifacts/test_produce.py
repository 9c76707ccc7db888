"""Published files read again, and what is known of their checksums."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import zipfile

import pytest

from stalker.artifacts.produce import plain, raw_disk
from stalker.errors import StalkerError
from stalker.model.artifacts import Disk

DATA = b"head" + bytes(3_000_000) + os.urandom(100_000) + bytes(5000)


def packed(path):
    """Pack `DATA` as the ending says."""
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(DATA))
        case ".xz":
            path.write_bytes(lzma.compress(DATA))
        case ".zst":
            path.write_bytes(
                subprocess.run(["zstd", "-c"], input=DATA, capture_output=True, check=True).stdout
            )
        case ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("x.img", DATA)
        case _:
            path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz", "tar.zst", "tgz"])
def test_a_packed_tar_is_read_as_it_was(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(DATA) if ending == "tgz" else packed(path).read_bytes())

    assert b"".join(plain(path)) == DATA


@pytest.mark.parametrize("ending", ["tar.gz", "tar.xz", "tar.zst"])
def test_a_packed_file_that_was_cut_is_an_error(tmp_path, ending):
    path = packed(tmp_path / f"x.{ending}")
    os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(StalkerError, match="could not be unpacked"):
        list(plain(path))


@pytest.mark.parametrize("form", ["img", "img.zst", "img.xz", "img.gz", "zip"])
def test_a_disk_is_given_raw_whatever_it_is_published_as(tmp_path, form):
    """Unpacked it is sparse, and gone afterwards."""
    packed(tmp_path / f"x.{form}")

    with raw_disk(tmp_path, Disk("x.img", "mbr", (), formats=("bmap", form)), lambda: None) as raw:
        assert raw.read_bytes() == DATA
        stored = raw.stat().st_blocks * 512

    assert os.listdir(tmp_path) == [f"x.{form}"]
    assert form == "img" or stored < 1_000_000
