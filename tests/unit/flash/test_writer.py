"""Images written to real block devices and read back: loop devices over files that hold old rubbish."""

from __future__ import annotations

import fcntl
import gzip
import lzma
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from stalker.disk.pack import bmap_text
from stalker.errors import InputError, PlanError, StalkerError
from stalker.flash import writer
from stalker.flash.source import open_source
from stalker.flash.writer import HEAD_BYTES, held, reread_table, verify_card, write_card
from stalker.formats.fs.required_zeros import required_zeros
from stalker.host.block_device import check_writable, see_device
from stalker.io.progress import Silent
from unit.helpers.loops import blank, loop_device
from unit.helpers.reporting import Seen

MIB = 1 << 20
DEVICE_BYTES = 24 * MIB
IMAGE_BYTES = 16 * MIB + 512
RUBBISH = b"what stood on the card before" * 1000


def tool(name):
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture
def backing(tmp_path):
    return blank(tmp_path / "card", DEVICE_BYTES, RUBBISH)


@pytest.fixture
def device(backing):
    with loop_device(backing) as path:
        yield path


@pytest.fixture
def image(tmp_path):
    """A sparse image: data, a hole, zeros that were written, data up to a last half block."""
    path = blank(tmp_path / "x.img", IMAGE_BYTES)
    with path.open("r+b") as file:
        file.write(bytes(510) + b"\x55\xaa" + os.urandom(3 * MIB))
        file.seek(8 * MIB)
        file.write(bytes(MIB))
        file.write(os.urandom(MIB + 77))
        file.seek(IMAGE_BYTES - 700)
        file.write(os.urandom(700))
    return path


def write(source_path, path, *, whole=False, reporter=None):
    source = open_source(source_path, whole=whole)
    found = see_device(path)
    with held(found) as number:
        written = write_card(number, found, source, reporter or Silent())
        verify_card(number, found, written, reporter or Silent())
    return written


def packed(image, ending):
    """Pack an image as a user would find it."""
    made = image.with_name(image.name + ending) if ending != ".zip" else image.with_suffix(".zip")
    data = image.read_bytes()
    match ending:
        case ".gz":
            made.write_bytes(gzip.compress(data, 1))
        case ".xz":
            made.write_bytes(lzma.compress(data, preset=0))
        case ".zip":
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("README", "read me")
                archive.writestr("x.img", data)
        case ".zst":
            subprocess.run(["zstd", "-q", str(image), "-o", str(made)], check=True)
    return made


@pytest.mark.parametrize("ending", ["", ".zst", ".gz", ".xz", ".zip"])
def test_an_image_is_on_the_card_byte_for_byte(image, device, backing, ending):
    """Packed or not; of what was there before nothing shows through its holes."""
    data = image.read_bytes()
    source = packed(image, ending) if ending else image

    write(source, device)

    assert backing.read_bytes()[:IMAGE_BYTES] == data


@pytest.mark.parametrize(
    ("ending", "told"), [("", True), (".zst", True), (".zip", True), (".gz", False), (".xz", True)]
)
def test_the_size_of_an_image_is_known_before_where_it_says_so(image, ending, told):
    """Then a device that is too small is refused before it is touched."""
    source = open_source(packed(image, ending) if ending else image)

    assert source.size_bytes == (IMAGE_BYTES if told else None)


@pytest.mark.parametrize("ending", ["", ".zst", ".gz", ".xz", ".zip"])
def test_a_block_map_spares_what_holds_no_data(image, device, backing, ending):
    """Only mapped ranges are written; each is as in the image, and the map's checksums hold."""
    data = image.read_bytes()
    image.with_suffix(".bmap").write_text(bmap_text(image))
    source = packed(image, ending) if ending else image

    written = write(source, device)

    on_card = backing.read_bytes()
    for begin, end in ((0, 3 * MIB), (8 * MIB, 10 * MIB), (IMAGE_BYTES - 700, IMAGE_BYTES)):
        assert on_card[begin:end] == data[begin:end]
    assert on_card[5 * MIB : 6 * MIB] == (RUBBISH * 500)[5 * MIB : 6 * MIB]
    assert written.bytes < 8 * MIB


def test_old_tables_and_signatures_are_gone(image, device, backing):
    """The end of the card may hold the second table of a GPT: a system would believe it."""
    write(image, device)

    assert backing.read_bytes()[-MIB:] == bytes(MIB)


def test_without_the_map_every_byte_is_written(image, device, backing):
    data = image.read_bytes()
    image.with_suffix(".bmap").write_text(bmap_text(image))

    write(image, device, whole=True)

    assert backing.read_bytes()[:IMAGE_BYTES] == data


def test_progress_goes_up_to_the_end(image, device):
    """Of writing, then of reading back; what is reported is on the card."""
    seen = Seen()

    write(image, device, reporter=seen)

    assert list(dict.fromkeys(one[0] for one in seen.tasks)) == ["writing", "verifying"]
    for doing in ("writing", "verifying"):
        done = [one[1] for one in seen.tasks if one[0] == doing]
        assert done == sorted(done)
        assert done[-1] == seen.tasks[-1][1]


# file systems whose holes matter


def test_an_ext4_made_with_holes_is_clean_on_a_card_full_of_rubbish(tmp_path):
    """The tools leave inode tables and the journal as holes; on the card they are zeros."""
    image = blank(tmp_path / "e.img", 64 * MIB)
    subprocess.run(
        [tool("sfdisk"), "-q", image], input="label: dos\nstart=2048, type=83\n", text=True, check=True
    )
    make = [tool("mke2fs"), "-q", "-t", "ext4", "-E", f"offset={MIB},discard", image, "62M"]
    subprocess.run(make, check=True)
    image.with_suffix(".bmap").write_text(bmap_text(image))
    backing = blank(tmp_path / "card", 80 * MIB, RUBBISH)

    with loop_device(backing) as device:
        written = write(image, device)

    assert written.bytes < 30 * MIB
    ranges = list(required_zeros(lambda at, count: image.read_bytes()[at : at + count], MIB, 63 * MIB))
    assert len(ranges) > 1  # inode tables, and the journal
    on_card, in_file = backing.read_bytes(), image.read_bytes()
    assert all(on_card[begin:end] == in_file[begin:end] for begin, end in ranges)
    checked = subprocess.run(
        [tool("e2fsck"), "-fn", f"{backing}?offset={MIB}"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# what is refused, and what is noticed


def test_a_mounted_device_is_refused(tmp_path):
    """With the place where it is mounted; and the kernel would not give it either."""
    backing = blank(tmp_path / "card", 16 * MIB)
    subprocess.run([tool("mke2fs"), "-q", "-t", "ext4", backing], check=True)
    point = tmp_path / "mounted here"
    point.mkdir()
    with loop_device(backing) as device:
        subprocess.run(["mount", device, point], check=True)
        try:
            found = see_device(device)
            with pytest.raises(PlanError, match="is in use") as caught:
                check_writable(found, MIB, allow_fixed=True)
            with pytest.raises(PlanError, match="is in use"), held(found):
                pytest.fail("it was opened")
        finally:
            subprocess.run(["umount", point], check=True)

    assert f"mounted on {point}" in caught.value.details


def test_a_device_that_is_too_small_is_refused(device):
    with pytest.raises(PlanError, match="is too small") as caught:
        check_writable(see_device(device), DEVICE_BYTES + 1, allow_fixed=True)

    assert str(DEVICE_BYTES) in caught.value.details


def test_a_packed_image_that_turns_out_too_large_says_so(tmp_path):
    """Its size is not told anywhere: the card is full, and called incomplete."""
    image = blank(tmp_path / "x.img", DEVICE_BYTES + MIB, b"abc")
    source, backing = packed(image, ".gz"), blank(tmp_path / "card", DEVICE_BYTES)
    with loop_device(backing) as device, pytest.raises(InputError, match="larger than") as caught:
        write(source, device)

    assert "incomplete" in caught.value.details


def test_a_read_only_device_is_refused(backing):
    with loop_device(backing, "--read-only") as device, pytest.raises(PlanError, match="read-only"):
        check_writable(see_device(device), MIB, allow_fixed=True)


def test_a_fixed_disk_is_refused_unless_it_is_meant(device):
    """A loop device cannot be taken out."""
    found = see_device(device)

    with pytest.raises(PlanError, match="fixed disk") as caught:
        check_writable(found, MIB, allow_fixed=False)

    assert "--fixed" in caught.value.resolution
    assert check_writable(found, MIB, allow_fixed=True) is None


@pytest.mark.parametrize(
    ("path", "said"), [("/dev/null", "not a block device"), ("/tmp", "a folder"), ("/none", "No such file")]
)
def test_what_is_no_disk_is_refused(path, said):
    with pytest.raises(PlanError) as caught:
        see_device(path)

    assert said in caught.value.brief + caught.value.details


def test_a_card_that_lies_is_noticed(image, device, backing):
    """One bit is another one on the card: the place is named."""
    source, found = open_source(image), see_device(device)
    with held(found) as number:
        written = write_card(number, found, source, Silent())
        os.fsync(number)
    at = 9 * MIB + 5
    with backing.open("r+b") as file:
        file.seek(at)
        was = file.read(1)[0]
        file.seek(at)
        file.write(bytes([was ^ 1]))
        os.fsync(file.fileno())

    with held(found) as number, pytest.raises(StalkerError, match="does not hold what was written") as caught:
        verify_card(number, found, written, Silent())

    begin, end = map(int, re.findall(r"\d+", caught.value.details))
    assert begin <= at < end


def test_an_interrupted_card_has_no_table(image, device, backing):
    """The first bytes come last: such a card starts nothing, neither the new system nor the old."""

    class Stopping(Silent):
        def moved(self, task):
            if task.name == "writing" and task.done_bytes > 4 * MIB:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(image, device, reporter=Stopping())

    assert backing.read_bytes()[:HEAD_BYTES] == bytes(HEAD_BYTES)


def test_a_device_that_fails_is_told_as_that(image, device, monkeypatch):
    """No traceback: the card or its reader."""

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer.os, "fdatasync", fails)
    monkeypatch.setattr(writer, "SYNC_BYTES", MIB)

    with pytest.raises(StalkerError, match="cannot be written") as caught:
        write(image, device)

    assert "Input/output error" in caught.value.details


def test_while_a_card_is_held_nobody_can_mount_it(tmp_path):
    """Not even a desktop that mounts what it sees."""
    backing = blank(tmp_path / "card", 16 * MIB)
    subprocess.run([tool("mke2fs"), "-q", "-t", "ext4", backing], check=True)
    with loop_device(backing) as device, held(see_device(device)):
        done = subprocess.run(["mount", device, "/mnt"], capture_output=True, check=False)

    assert done.returncode != 0


# damaged images


def test_a_range_that_is_not_as_its_map_says_is_noticed(image, device):
    image.with_suffix(".bmap").write_text(bmap_text(image))
    with image.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"x")

    with pytest.raises(InputError, match="is damaged") as caught:
        write(image, device)

    assert "block map" in caught.value.details


@pytest.mark.parametrize("ending", [".zst", ".gz", ".xz", ".zip"])
@pytest.mark.parametrize("has_map", [False, True])
def test_half_an_image_is_noticed(image, device, ending, has_map):
    """A download that broke off: an error of the input, not a card that half works."""
    if has_map:
        image.with_suffix(".bmap").write_text(bmap_text(image))
    source = packed(image, ending)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])

    with pytest.raises(InputError, match="is damaged"):
        write(source, device)


def test_a_table_is_read_again_where_the_kernel_can(device):
    """A loop device without partitions says no, which is harmless."""
    with held(see_device(device)) as number:
        assert reread_table(number) in {True, False}


def test_zeros_are_made_by_the_device_where_it_can(image, device, monkeypatch):
    """A loop device punches holes: nothing is written for them."""
    asked = []
    ioctl = fcntl.ioctl

    def seen(number, request, *more):
        asked.append(request)
        return ioctl(number, request, *more)

    monkeypatch.setattr(writer.fcntl, "ioctl", seen)

    write(image, device)

    assert (writer.BLKZEROOUT in asked) == see_device(device).zeroes_fast


def test_a_device_is_told_as_a_person_knows_it(device, backing):
    found = see_device(device)

    assert found.title == f"{device}, of {backing}, 24 MiB, loop device"
    assert Path(f"/dev/{found.name}").is_block_device()
