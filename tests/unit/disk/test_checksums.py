"""Checksums of published files, and when a noted one is trusted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time

from stalker.disk.checksums import SETTLED_NS, Evidence, checksum_lines, sha256_of
from stalker.disk.manifest import PublishedFile

DATA = b"head" + bytes(3_000_000) + os.urandom(100_000) + bytes(5000)


def image(path):
    path.write_bytes(DATA)
    return path


def settled(path):
    while time.time_ns() - path.stat().st_ctime_ns <= SETTLED_NS:
        time.sleep(0.01)


def test_a_file_is_known_until_it_is_touched(tmp_path):
    path = image(tmp_path / "x.img")
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
    path = image(tmp_path / "x.img")
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
