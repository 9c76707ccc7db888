"""Packed files: what they are is told by their first bytes, and what they unpack to before they are."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile

import pytest

from stalker.errors import InputError
from stalker.io.compression.reader import DecompressionError, decompressed, packing_of, told_bytes, unpacked

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


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_member_of_an_archive_is_decompressed_where_it_is(tmp_path, kind):
    """It has no descriptor, so a program is fed with it."""
    data = os.urandom(300_000) + bytes(3_000_000)
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd_of}[kind]
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in (("before", b"x" * 100), ("a", compress(data)), ("behind", b"y")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (tmp_path / "a.tar").write_bytes(whole.getvalue())

    with (
        tarfile.open(tmp_path / "a.tar") as archive,
        archive.extractfile("a") as file,
        decompressed(file, kind) as stream,
    ):
        assert stream.read() == data


def test_a_damaged_member_is_an_error_with_the_reason():
    """Of the program, when all that it gave was read."""
    cut = io.BytesIO(zstd_of(os.urandom(300_000))[:-10_000])

    with pytest.raises(DecompressionError, match="premature end"), decompressed(cut, "zst") as stream:
        stream.read()


def test_a_bzip2_image_is_decompressed(tmp_path):
    """Bases of some boards come so."""
    path = tmp_path / "x.img.bz2"
    path.write_bytes(bz2.compress(b"image" * 1000))

    assert packing_of(path) == "bz2"
    assert b"".join(unpacked(path)) == b"image" * 1000


def zstd_of(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
