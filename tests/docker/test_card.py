"""A disk of ours, written by its block map onto a card full of rubbish, and then used."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from disks import BOOT, MIB, ROOT, DiskShop, imported, partition, read_files
from stalker.flash.source import open_source
from stalker.flash.writer import held, verify_card, write_card
from stalker.host.block_device import see_device
from stalker.io.progress import Silent
from unit.helpers.loops import blank, loop_device
from unit.helpers.tars import folder, make_tar, member

if TYPE_CHECKING:
    from stalker.engine.docker.adapter import DockerEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

RUBBISH = os.urandom(1 << 16)
"""Nothing of it is zero: whatever is not written shows."""

SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def checked(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": SBIN})


def test_a_card_holds_a_whole_system_though_a_part_of_it_was_written(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Its file systems are clean, all files are there, and it stays clean when it is filled with files."""
    content = [folder("boot"), (member("boot/kernel.img"), os.urandom(MIB)), folder("srv"), folder("tmp")]
    content += [(member(f"srv/f{number}"), b"%d" % number) for number in range(500)]
    shop = DiskShop(tmp_path, engine)
    data = partition("data", "ext4", 160)
    artifact = shop.artifact(BOOT, ROOT, data, partition("swap", "swap", 16), formats=("img.zst", "bmap"))
    with imported(engine, make_tar(*content)) as image:
        made = shop.make(image, artifact)
    packed = next(file for file in made.files if file.suffix == ".zst")
    source = open_source(packed)
    assert source.map is not None
    assert source.size_bytes is not None
    card = blank(tmp_path / "card", source.size_bytes + 8 * MIB, RUBBISH)
    starts = {one["name"]: (one["start_bytes"], one["size_bytes"]) for one in made.facts["partitions"]}

    with loop_device(card) as device, held(see_device(device)) as number:
        written = write_card(number, see_device(device), source, Silent())
        verify_card(number, see_device(device), written, Silent())

    assert written.bytes < source.size_bytes // 2
    for name in ("root", "data"):
        done = checked("e2fsck", "-fn", f"{card}?offset={starts[name][0]}")
        assert done.returncode == 0, done.stdout
    boot = tmp_path / "boot"
    with card.open("rb") as file, boot.open("wb") as out:
        file.seek(starts["boot"][0])
        out.write(file.read(starts["boot"][1]))
    done = checked("fsck.vfat", "-n", str(boot))
    assert done.returncode == 0, done.stdout
    fill(card, *starts["root"], {f"srv/f{number}": b"%d" % number for number in range(500)})
    fill(card, *starts["data"], {})
    for name in ("root", "data"):
        done = checked("e2fsck", "-fn", f"{card}?offset={starts[name][0]}")
        assert done.returncode == 0, done.stdout


def fill(card: Path, start: int, size: int, files: dict[str, bytes]) -> None:
    """Mount a file system, hold its files against `files`, and make a thousand in many folders."""
    with (
        tempfile.TemporaryDirectory() as at,
        loop_device(card, "--offset", str(start), "--sizelimit", str(size)) as device,
    ):
        subprocess.run(["mount", device, at], check=True)
        try:
            there = read_files(Path(at))
            assert {name: there[name][-1] for name in files} == files
            for number in range(40):
                inner = Path(at, f"new{number}")
                inner.mkdir()
                for inside in range(25):
                    (inner / f"{inside}").write_bytes(b"new")
        finally:
            subprocess.run(["umount", at], check=True)
