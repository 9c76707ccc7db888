import gzip
import io
import lzma
import os
import subprocess
import zipfile

import pytest

from stalker.io.compression.size import Unpacked, unpacked_size

TEXT = b"so much text " * 20_000


def size_of(data, **options):
    """Ask as of a server, and count the bytes that were read."""
    asked = []

    def read(at, count):
        asked.append(len(data[at : at + count]))
        return data[at : at + count]

    return unpacked_size(len(data), read, **options), sum(asked)


def zstd(data, *options):
    return subprocess.run(["zstd", "-qc", *options], input=data, capture_output=True, check=True).stdout


def zstd_of_file(data, path):
    path.write_bytes(data)
    return subprocess.run(["zstd", "-qc", path], capture_output=True, check=True).stdout


def zipped(**files):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name.replace("_", "."), data)
        return file.getvalue()


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_an_xz_file_tells_exactly(size):
    assert size_of(lzma.compress(bytes(size)))[0] == Unpacked(size)


def test_an_xz_file_of_many_blocks_and_streams_tells_exactly():
    """As parallel packers make it, with padding between two of them and at the end."""
    blocks = subprocess.run(
        ["xz", "-0c", "--block-size=10000"], input=TEXT, capture_output=True, check=True
    ).stdout
    data = blocks + bytes(8) + lzma.compress(b"abc") + bytes(4)

    told, read = size_of(data)

    assert told == Unpacked(len(TEXT) + 3)
    assert read < 1000


def test_no_byte_of_the_content_is_read():
    data = lzma.compress(os.urandom(500_000))

    assert size_of(data) == (Unpacked(500_000), 18 + 12 + 12)


@pytest.mark.parametrize("at", [-1, -3, -6, -13])
def test_a_damaged_xz_file_tells_nothing(at):
    """Neither with another footer nor with another index."""
    data = bytearray(lzma.compress(TEXT))
    data[at] ^= 1

    assert size_of(bytes(data))[0] is None


def test_a_zstd_file_tells_at_least(tmp_path):
    """Its first frame has a size, and others may follow; of a stream it was not known."""
    assert size_of(zstd_of_file(TEXT, tmp_path / "x"))[0] == Unpacked(len(TEXT), is_exact=False)
    assert size_of(zstd(TEXT))[0] is None
    frame = zstd_of_file(os.urandom(5000), tmp_path / "x")
    assert size_of(frame)[0] == Unpacked(5000, is_exact=False)
    assert size_of(frame * 3)[0] is None  # it is more than the first frame says


def test_a_gzip_file_tells_at_least():
    """It counts modulo 4 GiB and of its last part alone: less than what is packed is none."""
    noise = os.urandom(300_000)

    assert size_of(gzip.compress(TEXT))[0] == Unpacked(len(TEXT), is_exact=False)
    assert size_of(gzip.compress(noise))[0] == Unpacked(len(noise), is_exact=False)
    assert size_of(gzip.compress(noise) + gzip.compress(b""))[0] is None


def test_a_zip_tells_of_all_its_files_or_of_its_image():
    data = zipped(a_img=TEXT, readme_txt=b"hello")

    assert size_of(data)[0] == Unpacked(len(TEXT) + 5)
    assert size_of(data, image_only=True)[0] == Unpacked(len(TEXT))
    assert size_of(zipped(a_img=TEXT, b_img=TEXT), image_only=True)[0] is None
    assert size_of(data[:-30])[0] is None


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"\xfd7zXZ\x00", TEXT])
def test_what_is_not_packed_or_cut_off_tells_nothing(data):
    assert size_of(data)[0] is None
