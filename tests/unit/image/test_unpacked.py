"""Published files read again, and what is known of their checksums."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
import time
import zipfile

import pytest

from stalker.errors import StalkerError
from stalker.image.checksums import SETTLED_NS, Evidence, checksum_lines, sha256_of
from stalker.image.manifest import PublishedFile
from stalker.image.unpacked import plain, raw_disk
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


def settled(path):
    while time.time_ns() - path.stat().st_ctime_ns <= SETTLED_NS:
        time.sleep(0.01)


def test_a_file_is_known_as_long_as_nobody_touches_it(tmp_path):
    path = packed(tmp_path / "x.img")
    file = PublishedFile("x.img", len(DATA), hashlib.sha256(DATA).hexdigest())
    settled(path)
    evidence = Evidence(tmp_path / "cache", tmp_path)
    evidence.note(file)
    evidence.save()

    known = Evidence(tmp_path / "cache", tmp_path)

    assert sha256_of(path) == file.sha256
    assert known.is_known(file)
    os.utime(path)
    assert not known.is_known(file)


def test_a_file_that_was_just_changed_is_not_trusted(tmp_path):
    """Its clock could stand still for another change."""
    path = packed(tmp_path / "x.img")
    future = time.time_ns() + 10**10
    os.utime(path, ns=(future, future))
    file = PublishedFile("x.img", len(DATA), "0" * 64)
    evidence = Evidence(tmp_path / "cache", tmp_path)

    evidence.note(file)

    assert not evidence.is_known(file)


def test_what_the_cache_says_is_not_believed_when_it_is_broken(tmp_path):
    file = PublishedFile("x.img", 1, "0" * 64)
    cache = tmp_path / "cache/artifacts"
    cache.mkdir(parents=True)
    for content in (b"", b"[]", b"\xff", b'{"x.img": 5}'):
        name = hashlib.sha256(os.fsencode(tmp_path)).hexdigest()
        (cache / f"{name}.json").write_bytes(content)

        assert not Evidence(tmp_path / "cache", tmp_path).is_known(file)


def test_sha256sum_reads_strange_names_too(tmp_path):
    names = ["plain", "with space", "a\nb", "back\\slash", "c\rd", "é"]
    files = []
    for name in names:
        (tmp_path / name).write_text(name)
        files.append(PublishedFile(name, 1, hashlib.sha256(name.encode()).hexdigest()))
    (tmp_path / "sums").write_text(checksum_lines(files), newline="")

    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "sums"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == len(names)
