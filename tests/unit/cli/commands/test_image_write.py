"""`stalker image write` as it is typed, onto a loop device."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from stalker.disk.pack import bmap_text
from unit.helpers.loops import blank, loop_device

LIB = Path(__file__).resolve().parents[4] / "lib"
MIB = 1 << 20
CALL = [sys.executable, "-m", "stalker.cli", "image", "write"]


@pytest.fixture
def card(tmp_path):
    return blank(tmp_path / "card", 24 * MIB, b"rubbish")


@pytest.fixture
def device(card):
    with loop_device(card) as path:
        yield path


@pytest.fixture
def image(tmp_path):
    path = blank(tmp_path / "x.img", 8 * MIB)
    with path.open("r+b") as file:
        file.write(bytes(510) + b"\x55\xaa" + os.urandom(2 * MIB))
    return path


def call(*arguments, **more):
    return subprocess.run(
        [*CALL, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(LIB)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


def test_an_image_is_written_and_read_back(image, device, card):
    """What is done is reported before, and the result after."""
    done = call(image, device, "--yes", "--fixed")

    assert done.returncode == 0, done.stderr
    assert card.read_bytes()[: 8 * MIB] == image.read_bytes()
    assert re.fullmatch(
        rf"{device}: 8 MiB written in [\d.]+ s, read back and the same; it can be taken out\n", done.stdout
    )
    assert f"image   {image}, 8 MiB" in done.stderr
    assert f"device  {device}, of {card}" in done.stderr
    assert "verifying: 100%" in done.stderr


def test_a_map_beside_it_makes_it_shorter(image, device):
    image.with_suffix(".bmap").write_text(bmap_text(image))

    done = call(image, device, "--yes", "--fixed")

    assert "2.01 MiB of it data" in done.stderr
    assert f"{device}: 2.01 MiB written" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--yes"], "is a fixed disk"),
        (["--fixed"], "there is no terminal to ask at"),
    ],
)
def test_nothing_is_written_without_being_sure(image, device, card, arguments, said):
    """A loop device is not a card, and nobody typed its name."""
    before = card.read_bytes()

    done = call(image, device, *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert card.read_bytes() == before


def test_a_file_is_no_device(image, card):
    """What to do for a plain file stands there, too."""
    done = call(image, card, "--yes", "--fixed")

    assert (done.returncode, "is not a block device" in done.stderr) == (2, True)
    assert "zstd -d or cp" in done.stderr
    assert "losetup and --fixed" in done.stderr


def test_an_image_that_is_not_there_is_told(device):
    done = call("/none.img", device, "--yes", "--fixed")

    assert (done.returncode, "there is no such image" in done.stderr) == (2, True)


def test_a_checksum_beside_it_is_asked_before_anything_is_written(image, device, card):
    """A damaged download does not cost the card its content."""
    Path(f"{image}.sha256").write_text(f"{'0' * 64}  x.img\n")
    before = card.read_bytes()

    done = call(image, device, "--yes", "--fixed")

    assert done.returncode == 4
    assert "is damaged" in done.stderr
    assert card.read_bytes() == before


@pytest.mark.parametrize("typed", ["loop", "yes", ""])
def test_another_word_than_the_devices_name_is_a_no(image, device, card, typed):
    before = card.read_bytes()
    with typing(image, device) as terminal:
        terminal.expect(f"Type {Path(device).name} to go on: ")
        terminal.sendline(typed)
        terminal.expect("was not written")
        terminal.expect(pexpect.EOF)

    assert terminal.exitstatus == 2
    assert card.read_bytes() == before


def test_the_devices_name_is_a_yes(image, device, card):
    """In a terminal one line changes: share, amount, rate, time left."""
    with typing(image, device) as terminal:
        terminal.expect("will be lost")
        terminal.sendline(Path(device).name)
        terminal.expect(r"writing .*100%")
        terminal.expect(r"verifying .*100%")
        terminal.expect("it can be taken out")
        terminal.expect(pexpect.EOF)

    assert terminal.exitstatus == 0
    assert card.read_bytes()[: 8 * MIB] == image.read_bytes()


class typing:  # noqa: N801  reads as what a user does
    """The program in a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        argv = [*CALL[1:], *map(str, arguments), "--fixed"]
        self._child = pexpect.spawn(
            CALL[0], argv, env={**os.environ, "PYTHONPATH": str(LIB)}, encoding="utf-8", timeout=30
        )

    def __enter__(self) -> pexpect.spawn:
        return self._child

    def __exit__(self, *_: object) -> None:
        self._child.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_card_is_called_incomplete(tmp_path, device, card, number):
    """The image never ends, being a pipe of zstd: the signal comes while the card is written."""
    image = blank(tmp_path / "big.img", 20 * MIB, os.urandom(4096))
    slow = tmp_path / "bin"
    slow.mkdir()
    # Gives three pieces, then nothing more, for as long as it is waited for.
    (slow / "zstd").write_text(
        f"#!/bin/sh\nhead -c 12582912 {image}; echo >{tmp_path}/given; exec sleep 100\n"
    )
    (slow / "zstd").chmod(0o755)
    packed = tmp_path / "x.img.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd, and no more is read, for zstd is another program")
    running = subprocess.Popen(
        [*CALL, packed, device, "--yes", "--fixed", "--force"],
        env={**os.environ, "PYTHONPATH": str(LIB), "PATH": f"{slow}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = ""
    assert running.stderr is not None
    while "writing" not in line:
        line = running.stderr.readline()
        assert line, "it ended before it wrote"

    running.send_signal(number)
    _, err = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "the card is incomplete" in err
    assert "write it again" in err
    assert card.read_bytes()[:MIB] == bytes(MIB)
