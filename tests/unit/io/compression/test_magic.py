"""Compressed files by their first bytes, as the tools write them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import zipfile

import pytest

from stalker.io.compression.magic import MAGICS, compression_in


def zipped(data):
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        if data:
            archive.writestr("a", data)
    return into.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("kind", "compress"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zip", zipped), ("zst", zstd)],
)
@pytest.mark.parametrize("data", [b"", b"x" * 10_000])
def test_what_a_tool_writes_is_known(kind, compress, data):
    """Empty ones too: six bytes are enough."""
    assert compression_in(compress(data)[:6]) == kind


def test_a_frame_that_is_skipped_is_zstandard():
    """As pzstd writes it first."""
    assert all(compression_in(bytes([0x50 + n]) + b"\x2a\x4d\x18\0\0") == "zst" for n in range(16))


@pytest.mark.parametrize(
    "head", [b"", b"BZh0xx", b"BZhello", b"\x1f\x8b\x07\0\0\0", b"PK\x07\x08", b"\xeb\x3c\x90"]
)
def test_other_bytes_are_not_compressed(head):
    """Text that begins with BZh, and a gzip of an unknown method."""
    assert compression_in(head) == ""


def test_no_magic_begins_with_another():
    """So the order does not count."""
    magics = [(kind, magic) for kind, some in MAGICS.items() for magic in some]

    assert not [1 for a, one in magics for b, other in magics if a != b and one.startswith(other)]
