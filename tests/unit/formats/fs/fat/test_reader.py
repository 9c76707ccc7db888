"""A FAT filled by mtools, and read."""

import os
import shutil
import subprocess

import pytest

from stalker.formats.fs.fat.reader import FatReader

START = 1 << 20


@pytest.fixture(params=[(12, "4M"), (16, "20M"), (32, "40M")], ids=["fat12", "fat16", "fat32"])
def image(request, tmp_path):
    if not shutil.which("mcopy"):
        pytest.skip("mtools is not installed")
    bits, size = request.param
    path = tmp_path / "disk.img"
    subprocess.run(["truncate", "-s", "64M", path], check=True)
    kib = str(int(size[:-1]) * 1024)
    argv = [
        "mkfs.vfat",
        "-F",
        str(bits),
        "-s",
        "4" if bits == 12 else "1",
        "-n",
        "BOOT",
        "--offset",
        str(START // 512),
        path,
        kib,
    ]
    subprocess.run(argv, check=True, capture_output=True)
    folder = tmp_path / "boot"
    (folder / "overlays/deep").mkdir(parents=True)
    (folder / "config.txt").write_bytes(b"dtparam=i2c\n" * 500)
    (folder / "empty").touch()
    (folder / "overlays/A long name, and a café.dtbo").write_bytes(b"overlay")
    (folder / "overlays/deep/x").write_bytes(os.urandom(5000))
    for one in folder.rglob("*"):
        os.utime(one, (1_700_000_000, 1_700_000_000))
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(
        ["mcopy", "-s", "-p", "-m", "-i", f"{path}@@{START}", *folder.iterdir(), "::"],
        check=True,
        env=environment,
    )
    return path, folder, int(size[:-1]) << 20


def test_all_files_are_there_with_their_bytes_and_times(image):
    """Names of any length, times as mtools wrote them, and the label is not a file."""
    path, folder, size = image
    with path.open("rb") as stream:
        found = {one.path: one for one in FatReader(stream.fileno(), START, size).walk()}
        contents = {
            name: b"".join(os.pread(stream.fileno(), length, start) for start, length in one.ranges)
            for name, one in found.items()
        }

    wanted = {str(one.relative_to(folder)): one for one in folder.rglob("*")}
    assert found.keys() == wanted.keys()
    assert list(found).index("overlays") < list(found).index("overlays/deep/x")
    for name, one in wanted.items():
        assert found[name].is_folder == one.is_dir()
        if one.is_file():
            assert contents[name] == one.read_bytes()
            assert found[name].mtime_s == 1_700_000_000


def test_what_is_removed_is_gone_and_its_room_is_free(image):
    """fsck.vfat finds nothing wrong afterwards, and the rest is as it was."""
    path, _, size = image
    with path.open("r+b") as stream:
        reader = FatReader(stream.fileno(), START, size)
        list(reader.walk())
        for at, data in reader.removed(["overlays/deep", "config.txt", "overlays/deep/x", "empty"]):
            os.pwrite(stream.fileno(), data, at)
        left = [one.path for one in FatReader(stream.fileno(), START, size).walk()]
        fat = path.with_suffix(".fat")
        fat.write_bytes(os.pread(stream.fileno(), size, START))

    assert left == ["overlays", "overlays/A long name, and a café.dtbo"]
    done = subprocess.run(["fsck.vfat", "-n", str(fat)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
