"""`./stalker image inject` and patches: they write in place, or not at all, and no engine is asked."""

import gzip
import hashlib
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bases import BOOT_START, ENVIRON, ROOT_START, make_base, run
from stalker.card.output import publish
from stalker.disk.edit.write_ahead import MAGIC, changes_of
from unit.helpers.loops import loop_device

ROOT = Path(__file__).resolve().parents[4]
CONFIG = "injections: {files: [{partition: boot, to: /kiosk.conf, content: id=8}]}\n"
MACHINE = """
hostname: kiosk-8
users: [{name: ann, groups: [sudo], password: "$6$abcdefgh$%s"}]
wifi: [{ssid: home, password: correct-horse}]
country: DE
files:
- {partition: root, to: /opt/kiosk/id, content: id=8}
- {partition: boot, to: /kiosk.conf, content: id=8}
""" % ("x" * 86)
MACHINE = "injections:" + MACHINE.replace("\n", "\n  ") + "\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def image(base, tmp_path):
    path = tmp_path / "card.img"
    subprocess.run(["cp", "--sparse=always", str(base), str(path)], check=True)
    return path


def stalker_image(*argv, most_bytes=resource.RLIM_INFINITY):
    return subprocess.run(
        [sys.executable, "-m", "stalker.cli", "image", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **ENVIRON,
            "PYTHONPATH": str(ROOT / "lib"),
            "DOCKER_HOST": "unix:///nonexistent.sock",
            "SOURCE_DATE_EPOCH": "1700000000",
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )


def inject(image, text=CONFIG, most_bytes=resource.RLIM_INFINITY):
    config = image.with_name("kiosk.yaml")
    config.write_text(text)
    return stalker_image("inject", image, config, most_bytes=most_bytes)


def patched(image, text=MACHINE):
    """Make a patch of an image."""
    config, patch = image.with_name("kiosk.yaml"), image.with_name("kiosk.patch")
    config.write_text(text)
    return stalker_image("patch", image, config, patch), patch


def check_root(image):
    run("e2fsck", "-fn", f"{image}?offset={ROOT_START}")


def root_file(image, name):
    return run("debugfs", "-R", f"cat {name}", f"{image}?offset={ROOT_START}")


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
    """An error of the disk is not a bug of ours: here no room is left for what is kept beside the image."""
    was = image.read_bytes()
    done = inject(image, most_bytes=100)
    assert done.returncode == 1
    assert "could not be changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert image.read_bytes() == was
    assert {one.name for one in image.parent.iterdir()} == {"card.img", "kiosk.yaml"}


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


def test_a_machine_is_put_into_a_root_file_system_in_place(image):
    """No engine, no copy: the same file, and nothing beside it."""
    inode = image.stat().st_ino
    done = inject(image, MACHINE)
    assert done.returncode == 0, done.stderr
    assert image.stat().st_ino == inode
    assert root_file(image, "/etc/hostname") == "kiosk-8\n"
    assert "ann:x:1001:" in root_file(image, "/etc/passwd")
    assert root_file(image, "/opt/kiosk/id") == boot_file(image, "kiosk.conf") == "id=8"
    check_root(image)
    assert {one.name for one in image.parent.iterdir()} == {"card.img", "kiosk.yaml"}


def test_a_root_file_system_on_a_full_disk_stays_as_it_was(image):
    """No room for the record of what was there: then nothing of it is changed."""
    was = run("debugfs", "-R", "ls -l /etc", f"{image}?offset={ROOT_START}")
    done = inject(image, MACHINE, most_bytes=100)
    assert done.returncode == 1
    assert "could not be changed" in done.stderr
    assert run("debugfs", "-R", "ls -l /etc", f"{image}?offset={ROOT_START}") == was
    check_root(image)


def test_what_cannot_be_injected_changes_nothing(image):
    """Neither of the file systems, though one of them could take its part."""
    was = image.read_bytes()
    done = inject(image, MACHINE.replace("/opt/kiosk/id", "/etc"))
    assert done.returncode == 1
    assert "/etc cannot be put into root" in done.stderr
    assert image.read_bytes() == was


def test_a_patched_image_is_the_injected_one(image, tmp_path):
    """Byte for byte; the base is only read."""
    was = image.read_bytes()
    made, patch = patched(image)
    assert made.returncode == 0, made.stderr
    assert image.read_bytes() == was
    assert stat.S_IMODE(patch.stat().st_mode) == 0o600
    assert patch.stat().st_size < 200_000
    out = tmp_path / "out.img"

    done = stalker_image("apply", image, patch, out)

    assert done.returncode == 0, done.stderr
    assert inject(image, MACHINE).returncode == 0
    assert out.read_bytes() == image.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"card.img", "kiosk.yaml", "kiosk.patch", "out.img"}


def test_a_boot_loader_before_the_first_partition(image, tmp_path):
    """By an injection in place as by a patch; a file system that is named is written over by intention alone."""
    (tmp_path / "u-boot.bin").write_bytes(b"u-boot" * 300)
    text = CONFIG.replace("injections: {", "injections: {raw: {offset: 8KiB, file: u-boot.bin}, ")
    expected = bytearray(image.read_bytes()[:BOOT_START])
    expected[8192 : 8192 + 1800] = b"u-boot" * 300
    done, patch = patched(image, text)
    assert done.returncode == 0, done.stderr

    done = inject(image, text)

    assert done.returncode == 0, done.stderr
    assert "raw data: 1800 bytes at 8192" in done.stderr
    assert image.read_bytes()[:BOOT_START] == expected
    assert boot_file(image, "kiosk.conf") == "id=8"
    assert b"u-boot" * 300 in patch.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"card.img", "kiosk.yaml", "kiosk.patch", "u-boot.bin"}


@pytest.mark.parametrize(
    ("offset", "says"),
    [("0", "the MBR"), (str(BOOT_START), "partition 1"), (f"{BOOT_START}, partition: 1", "is used")],
)
def test_raw_data_that_would_destroy_something_changes_nothing(image, offset, says):
    was = image.read_bytes()
    done = inject(
        image, CONFIG.replace("injections: {", f"injections: {{raw: {{offset: {offset}, content: aGk=}}, ")
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert image.read_bytes() == was


def test_a_patch_is_applied_to_a_compressed_base(image, tmp_path):
    """As to the raw one."""
    _, patch = patched(image)
    packed = tmp_path / "card.img.gz"
    packed.write_bytes(gzip.compress(image.read_bytes(), 1))

    for base, out in ((image, "one.img"), (packed, "two.img")):
        done = stalker_image("apply", base, patch, tmp_path / out)
        assert done.returncode == 0, done.stderr

    assert (tmp_path / "one.img").read_bytes() == (tmp_path / "two.img").read_bytes()


@pytest.mark.parametrize("change", ["cut", "grown", "injected", "another"])
def test_a_patch_is_for_its_base_alone(image, tmp_path, change):
    """Another image is refused, and no OUT appears."""
    _, patch = patched(image)
    with image.open("r+b") as stream:
        match change:
            case "cut":
                stream.truncate(image.stat().st_size - 512)
            case "grown":
                stream.truncate(image.stat().st_size + 512)
            case "injected":
                assert inject(image, MACHINE).returncode == 0
            case _:
                stream.seek(-1, os.SEEK_END)
                stream.write(b"x")

    done = stalker_image("apply", image, patch, tmp_path / "out.img")

    assert done.returncode == 4
    assert "is not the base of this patch" in done.stderr
    assert {one.name for one in tmp_path.iterdir()} == {"card.img", "kiosk.yaml", "kiosk.patch"}


def test_a_patch_is_shown_without_its_secrets(image):
    made, patch = patched(image)
    assert made.returncode == 0, made.stderr

    done = stalker_image("show", patch)

    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(image.read_bytes()).hexdigest() in done.stdout
    assert f"{image.stat().st_size} bytes" in done.stdout
    assert "correct-horse" not in done.stdout


def test_what_is_there_is_not_replaced_unasked(image, tmp_path):
    """Neither a patch nor an image; with -X both are."""
    _, patch = patched(image)
    out = tmp_path / "out.img"
    out.write_bytes(b"mine")
    assert patched(image)[0].returncode == 2
    assert stalker_image("apply", image, patch, out).returncode == 2
    assert out.read_bytes() == b"mine"

    assert stalker_image("apply", "-X", image, patch, out).returncode == 0

    assert out.stat().st_size == image.stat().st_size
    assert stalker_image("apply", image, patch, tmp_path / "out.img.zst").returncode == 2


def test_what_describes_the_replaced_image_is_removed_and_reported(image, tmp_path):
    """A block map of the old image would have parts of the new one left out when it is written to a card."""
    _, patch = patched(image)
    out = tmp_path / "out.img"
    described = [tmp_path / name for name in ("out.bmap", "out.img.sha256")]
    for one in (out, *described):
        one.write_bytes(b"old")

    done = stalker_image("apply", "-X", image, patch, out)

    assert done.returncode == 0, done.stderr
    assert not any(one.exists() for one in described)
    assert all(f"{one.name} was removed" in done.stderr for one in described)


def test_a_root_file_system_in_use_needs_the_toolbox(image):
    """It is marked as mounted: without an engine to repair it, the image stays as it was, and no patch is made."""
    run("debugfs", "-w", "-R", "ssv state 0", f"{image}?offset={ROOT_START}")
    was = image.read_bytes()

    done, (made, patch) = inject(image, MACHINE), patched(image)

    assert (done.returncode, made.returncode) == (3, 1)
    assert "not closed properly" in made.stderr
    assert not patch.exists()
    assert image.read_bytes() == was
    assert {one.name for one in image.parent.iterdir()} == {"card.img", "kiosk.yaml"}
