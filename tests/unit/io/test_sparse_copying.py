"""Files copied and unpacked: the same bytes, no more room than before, and words when it cannot be."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.errors import InputError, Interrupted, StalkerError
from stalker.io.sparse import copy_image, place, take_base, unpack_base
from unit.helpers.loops import blank

MIB = 1 << 20
SIZE_BYTES = 24 * MIB + 700


def stored(path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def image(tmp_path):
    """Data, a hole, zeros that were written, and an end that fills no block."""
    path = blank(tmp_path / "x.img", SIZE_BYTES)
    with path.open("r+b") as file:
        file.write(bytes(510) + b"\x55\xaa" + os.urandom(2 * MIB + 100))
        file.seek(8 * MIB)
        file.write(bytes(MIB) + os.urandom(5000))
        file.seek(SIZE_BYTES - 50)
        file.write(os.urandom(50))
    return path


def packed(image, ending, name=""):
    """Pack an image as the ending says, under a name of any ending."""
    made = image.with_name(name or f"packed{ending}")
    data = image.read_bytes()
    match ending:
        case ".gz":
            made.write_bytes(gzip.compress(data, 1))
        case ".xz":
            made.write_bytes(lzma.compress(data, preset=0))
        case ".zip":
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("x.img", data)
        case ".zst":
            subprocess.run(["zstd", "-qf", str(image), "-o", str(made)], check=True)
        case _:
            made.write_bytes(data)
    return made


def taken(path, how=take_base, check=lambda: None):
    """Bring a base into a new file; return the file and how many bytes progress was told of."""
    told = []
    target = path.with_name("taken")
    with target.open("xb") as file:
        how(path, file, told.append, check)
    assert all(count >= 0 for count in told)
    return target, sum(told)


def test_a_copy_is_the_same_and_takes_no_more_room(image):
    copy, told = taken(image, copy_image)

    assert copy.read_bytes() == image.read_bytes()
    assert stored(copy) <= stored(image) < 5 * MIB
    assert told == SIZE_BYTES


def test_an_empty_file_is_copied_too(tmp_path):
    (tmp_path / "empty").touch()

    copy, told = taken(tmp_path / "empty", copy_image)

    assert (copy.stat().st_size, told) == (0, 0)


def test_a_copy_to_another_file_system_is_the_same(image):
    """The kernel does not share blocks between two of them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, open(f"{folder}/copy", "xb") as target:
        assert os.fstat(target.fileno()).st_dev != image.stat().st_dev
        copy_image(image, target, lambda _count: None)

        with open(f"{folder}/copy", "rb") as copy:
            assert copy.read() == image.read_bytes()
            assert os.fstat(copy.fileno()).st_blocks * 512 < 5 * MIB


@pytest.mark.parametrize("ending", [".img", ".zst", ".gz", ".xz", ".zip"])
def test_a_base_comes_as_it_was_packed_and_sparse(image, ending):
    """Zeros that were written are holes too, when they come out of a packed file."""
    path = packed(image, ending)

    base, told = taken(path)

    assert base.read_bytes() == image.read_bytes()
    assert told == path.stat().st_size
    assert ending == ".img" or stored(base) < 3 * MIB


@pytest.mark.parametrize(
    ("ending", "name"),
    [(".xz", "base"), (".zst", "base.img"), (".gz", "base.xz"), (".zip", "base.bin"), (".img", "base.zst")],
)
def test_the_first_bytes_tell_how_it_is_packed_where_the_name_lies(image, ending, name):
    base, _ = taken(packed(image, ending, name))

    assert base.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("ending", [".zst", ".gz", ".xz", ".zip"])
@pytest.mark.parametrize("keep", [0, 1, 5, 0.5, -1])
def test_a_base_that_was_cut_is_refused_by_its_name(image, ending, keep):
    """A download that broke off, wherever it did."""
    path = packed(image, ending)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if keep == 0.5 else keep])

    with pytest.raises(InputError, match="is damaged") as caught:
        taken(path)

    assert path.name in caught.value.brief
    assert caught.value.details
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("ending", [".zst", ".gz", ".xz", ".zip"])
def test_a_base_with_a_changed_byte_is_refused(image, ending):
    """Every form has a checksum of what is in it."""
    subprocess.run(
        ["zstd", "-q", "--check", str(image), "-o", str(image.with_name("packed.zst"))], check=True
    )
    path = image.with_name("packed.zst") if ending == ".zst" else packed(image, ending)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(InputError, match="is damaged"):
        taken(path)


@pytest.mark.parametrize("names", [[], ["a.img", "b.img"], ["a.txt", "b.txt"]])
def test_a_zip_holds_one_image_or_is_refused(tmp_path, names):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 9000)

    with pytest.raises(InputError) as caught:
        taken(path)

    assert ("holds several images" if names else "holds no image") in caught.value.brief
    assert all(name in caught.value.details for name in names)


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.img", b"x" * 9000)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)

    with pytest.raises(InputError) as caught:
        taken(path)

    assert "x.img is encrypted" in caught.value.brief


@pytest.mark.parametrize("ending", [".img", ".zst", ".gz"])
def test_an_interruption_is_seen_on_the_way(image, ending):
    def check():
        raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        taken(packed(image, ending), check=check)


@pytest.mark.parametrize("how", [take_base, copy_image, unpack_base])
def test_a_base_that_is_not_there_is_told_by_its_name(tmp_path, how):
    with pytest.raises(StalkerError, match=r"gone\.img could not be copied"):
        taken(tmp_path / "gone.img", how)


@pytest.mark.parametrize("ending", [".img", ".gz"])
def test_a_full_disk_is_told(image, ending):
    path = packed(image, ending)

    with open("/dev/full", "r+b", buffering=0) as full, pytest.raises(StalkerError) as caught:
        unpack_base(path, full, lambda _count: None)

    assert "/dev/full" in caught.value.brief
    assert caught.value.details == "No space left on device"


PART = st.tuples(st.booleans(), st.integers(1, 6 * 4096))
PARTS = st.lists(PART, min_size=1, max_size=8)


def laid_out(path, parts, seed):
    """Make a file of data and holes; return it open."""
    file = path.open("w+b")
    for is_data, length in parts:
        if is_data:
            file.write(bytes([seed]) * length)
        else:
            file.seek(length, os.SEEK_CUR)
    file.truncate(file.tell())
    file.flush()
    return file


@settings(max_examples=60, deadline=None)
@given(source=PARTS, target=PARTS, data=st.data())
def test_a_piece_takes_its_place_and_touches_nothing_else(source, target, data):
    """Holes of the piece hide what stood there; before and behind it all stays."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        one = opened.enter_context(laid_out(Path(folder, "a"), source, 1))
        two = opened.enter_context(laid_out(Path(folder, "b"), target, 2))
        size = sum(length for _, length in source), sum(length for _, length in target)
        begin = data.draw(st.integers(0, size[0]))
        length = data.draw(st.integers(0, min(size[0] - begin, size[1])))
        start = data.draw(st.integers(0, size[1] - length))
        before, wanted = os.pread(two.fileno(), size[1], 0), os.pread(one.fileno(), length, begin)
        told = []

        place(one.fileno(), two.fileno(), start, length, source_start=begin, on_bytes=told.append)

        after = os.pread(two.fileno(), size[1] + 1, 0)
        assert after == before[:start] + wanted + before[start + length :]
        assert sum(told) == length


def test_a_piece_that_ends_early_is_an_error(tmp_path):
    """It never becomes zeros."""
    (tmp_path / "a").write_bytes(b"x" * 5000)
    (tmp_path / "b").write_bytes(b"y" * 9000)

    with (
        (tmp_path / "a").open("rb") as one,
        (tmp_path / "b").open("r+b") as two,
        pytest.raises(OSError, match="it ends at byte 5000"),
    ):
        place(one.fileno(), two.fileno(), 0, 9000)

    assert (tmp_path / "b").read_bytes() == b"y" * 9000
