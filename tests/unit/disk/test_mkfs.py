"""File systems of a disk, made by their own tools at their places."""

from __future__ import annotations

import os
import subprocess

import pytest

from stalker.disk.ids import ids_of
from stalker.disk.layout import lay_out
from stalker.disk.mkfs import ext4_argv, vfat_argv
from stalker.formats.fs.probe import inspect
from stalker.model.artifacts import Disk, Partition
from stalker.model.diagnostics import Place

PLACE = Place("t.hjson")
MIB = 1 << 20
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@pytest.mark.parametrize("kind", ["ext4", "vfat"])
def test_a_file_system_has_the_ids_and_the_label_of_its_partition(tmp_path, kind):
    """Read back by our own reader."""
    label = "DATA"
    disk = Disk("x.img", "mbr", (Partition("one", PLACE, kind, size_bytes=64 * MIB, label=label),))
    (placed,) = lay_out(disk, {}).placed
    ids = ids_of(disk, "t/s/a").partitions["one"]
    image = tmp_path / "x.img"
    with image.open("wb") as file:
        file.truncate(placed.start_bytes + placed.size_bytes)
    argv = {
        "ext4": lambda: ext4_argv(placed, ids, str(image), 100, is_filled=False),
        "vfat": lambda: vfat_argv(placed, ids, str(image)),
    }[kind]()

    subprocess.run(argv, check=True, capture_output=True, env={"PATH": PATH})

    with image.open("rb") as stream:
        facts = inspect(
            lambda at, count: os.pread(stream.fileno(), count, at), placed.start_bytes, placed.size_bytes
        )
    assert (facts.uuid, facts.label) == (ids.uuid, label)
