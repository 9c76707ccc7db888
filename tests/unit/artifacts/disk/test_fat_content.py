"""A FAT filled from a tar, as mtools and fsck.vfat read it."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from bases import ENVIRON, run
from stalker.artifacts.disk.fat_content import FatContent
from stalker.disk.layout import Placed
from stalker.errors import InputError, StalkerError
from stalker.model.artifacts import Partition
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START, SIZE = 1 << 20, 40 << 20
EPOCH_S = 1_700_000_000


def placed() -> Placed:
    return Placed(Partition("boot", Place("t"), "vfat", SIZE), 1, START, SIZE)


def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(START + SIZE)
    options = ("-F", "32", "-s", "1", "--invariant", "--offset", str(START // 512))
    run("mkfs.vfat", *options, str(path), str(SIZE >> 10))
    return path


def tar(files: Mapping[str, bytes | str | None], order: int = 0) -> bytes:
    """Return a tar of files, directories (None) and hard links (text) in some order."""
    buffer = io.BytesIO()
    names = sorted(files)
    random.Random(order).shuffle(names)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            content, member = files[name], tarfile.TarInfo(name)
            member.mtime = EPOCH_S
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.LNKTYPE, content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content if isinstance(content, bytes) else b""))
    return buffer.getvalue()


def filled(path: Path, data: bytes) -> None:
    content = FatContent(path, placed(), EPOCH_S)
    for at in range(0, len(data), 10_000):
        assert content.write(data[at : at + 10_000])
    content.end()
    content.wait()


def fat_file(path: Path, name: str) -> bytes:
    argv = ["mtype", "-i", f"{path}@@{START}", f"::{name}"]
    return subprocess.run(argv, capture_output=True, check=True, env=ENVIRON).stdout


FILES: dict[str, bytes | str | None] = {
    "./config.txt": b"arm_64bit=1\n",
    "overlays": None,
    "overlays/a long name.dtbo": b"x" * 70_000,
    "overlays/deep/er/file": b"deep",
    "\u00fcmlaut": b"u",
    "same": "overlays/a long name.dtbo",
    "empty": b"",
}


def test_all_of_a_tar_is_on_the_fat(tmp_path: Path) -> None:
    """Content, long names, hard links as copies; fsck.vfat has nothing to say."""
    path = image(tmp_path)

    filled(path, tar(FILES))

    assert fat_file(path, "config.txt") == b"arm_64bit=1\n"
    assert fat_file(path, "overlays/a long name.dtbo") == fat_file(path, "same") == b"x" * 70_000
    assert fat_file(path, "overlays/deep/er/file") == b"deep"
    assert fat_file(path, "empty") == b""
    alone = tmp_path / "alone"
    alone.write_bytes(path.read_bytes()[START:])
    run("fsck.vfat", "-n", str(alone))


def test_the_order_of_a_tar_does_not_show(tmp_path: Path) -> None:
    """Each engine has its own; the bytes are the same."""
    found = set()
    for order in range(3):
        path = image(tmp_path)
        filled(path, tar({name: one for name, one in FILES.items() if not isinstance(one, str)}, order))
        found.add(path.read_bytes())

    assert len(found) == 1


def test_thousands_of_names_take_seconds(tmp_path: Path) -> None:
    """With mtools it took minutes: they read the whole directory for each."""
    path = image(tmp_path)
    data = tar({f"overlays/overlay number {number}.dtbo": b"%d" % number for number in range(2800)})
    began_s = time.process_time()

    filled(path, data)

    assert time.process_time() - began_s < 10
    assert fat_file(path, "overlays/overlay number 2799.dtbo") == b"2799"


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StalkerError, match="too small"):
        filled(image(tmp_path), tar({"large": bytes(SIZE)}))


def test_half_a_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a whole tar"):
        filled(image(tmp_path), tar(FILES)[:60_000])
