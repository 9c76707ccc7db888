"""Packed files: what they are is told by their first bytes, and what they unpack to before they are."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import subprocess
import zipfile

import pytest

from stalker.errors import InputError
from stalker.image.packed import packing_of, told_bytes, unpacked

DATA = os.urandom(200_000) + bytes(3_000_000)
BOOT_SECTOR = bytes(510) + b"\x55\xaa"


def packed(path, kind):
    match kind:
        case "gz":
            path.write_bytes(gzip.compress(DATA))
        case "xz":
            path.write_bytes(lzma.compress(DATA[:1_000_000]) + lzma.compress(DATA[1_000_000:]) + bytes(8))
        case "zst":
            done = subprocess.run(["zstd", "-c"], input=DATA, capture_output=True, check=True)
            path.write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0skip" + done.stdout)
        case "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("read.me", b"me")
                archive.writestr("x.img", DATA)
        case _:
            path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("name", ["x", "x.img", "x.XZ", "x.gz", "x.zip"])
@pytest.mark.parametrize("kind", ["gz", "xz", "zst", "zip"])
def test_the_first_bytes_tell_whatever_the_name_says(tmp_path, name, kind):
    path = packed(tmp_path / name, kind)

    assert packing_of(path) == kind
    assert b"".join(unpacked(path)) == DATA


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (BOOT_SECTOR, "x.img", ""),
        (BOOT_SECTOR, "x.img.xz", ""),
        (b"\x1f\x8b\x08" + BOOT_SECTOR[3:], "x.img", ""),
        (b"\x1f\x8b\x08" + BOOT_SECTOR[3:], "x.img.gz", "gz"),
        (b"rubbish", "x.img.xz", "xz"),
        (b"rubbish", "x.tgz", "gz"),
        (b"rubbish", "x.img", ""),
        (b"", "x.zst", "zst"),
        (b"", "x", ""),
    ],
)
def test_a_boot_sector_is_that_of_a_disk_and_a_name_is_believed_last(tmp_path, head, name, kind):
    """So what is named as packed and is not is damaged, not taken for a disk."""
    path = tmp_path / name
    path.write_bytes(head)

    assert packing_of(path) == kind


@pytest.mark.parametrize(("kind", "told"), [("", True), ("xz", True), ("zip", True), ("gz", False)])
def test_what_it_unpacks_to_is_told_where_it_can_be(tmp_path, kind, told):
    """An xz of several streams tells of all; a zip of its image."""
    assert told_bytes(packed(tmp_path / "x", kind)) == (len(DATA) if told else None)


def test_pieces_are_whole_and_progress_comes_to_the_size_of_the_file(tmp_path):
    for kind in ("gz", "xz", "zst", "zip", ""):
        path = packed(tmp_path / "x", kind)
        told = []

        lengths = [len(one) for one in unpacked(path, piece_bytes=65536, on_read=told.append)]

        assert set(lengths[:-1]) == {65536}
        assert sum(told) == path.stat().st_size
        assert min(told) >= 0


def test_who_stops_early_leaves_no_program_behind(tmp_path):
    path = packed(tmp_path / "x", "xz")

    with contextlib.closing(unpacked(path, piece_bytes=4096)) as pieces:
        next(pieces)
    children = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=True
    )

    assert "xz" not in children.stdout.split()


def test_a_damaged_file_is_told_by_its_name_and_what_its_program_said(tmp_path):
    path = tmp_path / "x.xz"
    path.write_bytes(lzma.compress(DATA)[:-5])

    with pytest.raises(InputError, match=r"x\.xz is damaged") as caught:
        list(unpacked(path))

    assert "Unexpected end of input" in caught.value.details
