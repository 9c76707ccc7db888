"""What a fetched archive is, by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile

import pytest

from stalker.errors import InputError
from stalker.formats.archive.streams import PackingError, check_kind, kind_of, unpacked
from unit.helpers.tars import make_tar

TAR = make_tar(("a", b"x"))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (TAR[:512], "tar"),
        (bytes(512), "tar"),
        (gzip.compress(TAR, mtime=0), "gzip"),
        (bz2.compress(TAR), "bzip2"),
        (lzma.compress(TAR), "xz"),
        (b"\x28\xb5\x2f\xfd\0\0", "zstd"),
        (b"\x52\x2a\x4d\x18\0\0", "zstd"),
        (b"PK\x05\x06" + bytes(18), "zip"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\n <!DOCTYPE html>", "a web page"),
        (b'{"a": 1}', "a document"),
        (b"hello\n", "text"),
        (b"BZhello", "text"),
        (b"\0\1\2", "no archive"),
    ],
    ids=range(14),
)
def test_a_kind_is_known_by_its_first_bytes(head, kind):
    assert kind_of(head[:512]) == kind


def test_another_archive_than_the_one_named_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bz2.compress(TAR))

    with pytest.raises(InputError, match="packed with bzip2, and not packed with gzip") as caught:
        check_kind(path, "gztar", "x")
    assert caught.value.resolution == "write via: bztar"


@pytest.mark.parametrize(
    ("via", "compress"),
    [("tar", bytes), ("gztar", gzip.compress), ("bztar", bz2.compress), ("xztar", lzma.compress)],
)
def test_a_tar_is_decompressed(tmp_path, via, compress):
    path = tmp_path / "x"
    path.write_bytes(compress(TAR))

    assert b"".join(unpacked(path, via)) == TAR


def test_what_is_not_a_tar_or_too_large_is_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(PackingError, match="it holds text"):
        list(unpacked(path, "gztar"))
    path.write_bytes(gzip.compress(TAR))
    with pytest.raises(PackingError, match="more than 100 bytes"):
        list(unpacked(path, "gztar", 100))


@pytest.mark.parametrize("name", ["]", "BZh9", "Rar!", "LZIP", "{"])
def test_a_tar_is_one_whatever_its_first_member_is_called(name):
    """Its first bytes are that name; an lzma begins with `]` and zeros."""
    assert kind_of(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT)) == "tar"
