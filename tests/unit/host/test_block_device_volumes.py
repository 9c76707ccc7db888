"""Room on the disks of the host: what goes onto one disk is counted together."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from stalker.host.block_device import SPARE_BYTES, needed_on_volumes


def free(path) -> int:
    about = os.statvfs(path)
    return about.f_bavail * about.f_frsize


@pytest.fixture
def memory():
    """A folder of another file system."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_what_fits_is_no_problem(tmp_path, memory):
    """Though both together would fit on neither."""
    needs = [(tmp_path, free(tmp_path) * 3 // 5), (memory, free(memory) * 3 // 5)]

    assert needed_on_volumes(needs) == []


def test_two_on_one_disk_are_counted_together(tmp_path, memory):
    """Each would fit; also a folder that is not there yet."""
    half = free(tmp_path) * 3 // 5
    needs = [
        (tmp_path / "target.img", half),
        (memory, 100),
        (tmp_path / "not/there/yet", half),
        (tmp_path, 0),
    ]

    (said,) = needed_on_volumes(needs)

    assert f"{tmp_path}/target.img" in said
    assert f"{tmp_path}/not/there/yet" in said
    assert str(memory) not in said
    assert len(re.findall(r"\d [MGT]iB", said)) == 4


def test_a_little_is_left_free(memory):
    assert needed_on_volumes([(memory, free(memory) - SPARE_BYTES // 2)])
    assert not needed_on_volumes([(memory, max(free(memory) - 4 * SPARE_BYTES, 0))])


def test_a_full_disk_is_no_problem_for_who_writes_nothing(memory):
    assert needed_on_volumes([(memory, 0)]) == []
