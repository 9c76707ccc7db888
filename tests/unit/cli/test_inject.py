"""`./stalker image inject` where it writes in place: no engine is asked for a FAT."""

import subprocess
import sys
from pathlib import Path

import pytest

from bases import BOOT_START, ENVIRON, make_base, run
from stalker.image.edit.journaled import MAGIC, changes_of
from stalker.image.edit.output import publish
from unit.image.loops import loop_device

ROOT = Path(__file__).resolve().parents[3]
CONFIG = "injections: {files: [{partition: boot, to: /kiosk.conf, content: id=8}]}\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def image(base, tmp_path):
    path = tmp_path / "card.img"
    subprocess.run(["cp", "--sparse=always", str(base), str(path)], check=True)
    return path


def inject(image, text=CONFIG):
    config = image.with_name("kiosk.yaml")
    config.write_text(text)
    argv = [sys.executable, "-m", "stalker.cli", "image", "inject", str(image), str(config)]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**ENVIRON, "PYTHONPATH": str(ROOT / "lib")}
    )


def boot_file(image, name):
    return run("mtype", "-i", f"{image}@@{BOOT_START}", f"::{name}")


def test_a_file_is_put_onto_the_boot_partition(image):
    """Nothing else appears beside the image."""
    done = inject(image)
    assert done.returncode == 0, done.stderr
    assert boot_file(image, "kiosk.conf") == "id=8"
    assert {one.name for one in image.parent.iterdir()} == {"card.img", "kiosk.yaml"}


def test_an_image_that_a_loop_device_has_is_left_alone(image):
    """Its boot partition may be mounted: the kernel would write over what is changed below it."""
    was = image.read_bytes()
    with loop_device(image) as device:
        done = inject(image)
    assert done.returncode == 1
    assert f"in use by {device}" in done.stderr
    assert image.read_bytes() == was


def test_an_image_on_a_full_disk_is_told_in_words(image):
    """An error of the disk is no bug of ours: here no room is left for what is kept beside the image."""
    changes_of(image).with_name(f"{changes_of(image).name}.part").symlink_to("/dev/full")
    done = inject(image)
    assert done.returncode == 1
    assert "could not be changed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_image_has_nothing_to_do_with_the_changes_of_the_old_one(image, tmp_path):
    """Whatever was begun in what stood there, it is gone with it."""
    changes_of(image).write_bytes(MAGIC)
    made = tmp_path / "made.img"
    made.write_bytes(b"new")
    publish(made, image, lambda _: None, lambda: None)
    assert not changes_of(image).exists()


@pytest.mark.parametrize("name", ["offspot.yaml", "OFFSPOT.yaml"])
@pytest.mark.parametrize("partition", ["boot", "1"])
def test_a_file_does_not_vanish_below_the_runtime_configuration(image, name, partition):
    """Both are to stand at one place: one of them would be lost, and nobody be told."""
    was = image.read_bytes()
    file = f"{{partition: {partition}, to: /{name}, content: mine}}"
    done = inject(image, f"offspot: {{timezone: UTC}}\ninjections: {{files: [{file}]}}\n")
    assert done.returncode == 2
    assert "/offspot.yaml of boot is wanted twice" in done.stderr
    assert image.read_bytes() == was
