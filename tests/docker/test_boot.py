"""Real boots of a tiny system, with Debian's own kernels, on the machines that boot tests run on."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from kernels import BOOT, PASSWORD, ROOT, kernel_for, make_disk
from stalker.app.toolbox_image import image_maker
from stalker.artifacts.context import Workshop
from stalker.boot import qemu
from stalker.boot.guess_test import guess_test
from stalker.boot.machines import Part
from stalker.boot.record import as_record
from stalker.boot.run import boot_disk
from stalker.disk.manifest import Manifest, PublishedFile, write_manifest
from stalker.engine.run_id import new_run_id
from stalker.errors import Interrupted, StalkerError
from stalker.model import labels
from stalker.model.artifacts import BootTest, Expectation
from stalker.model.diagnostics import Place
from stalker.run.cleanup import sweep
from stalker.toolbox.container import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.toolbox.container import Tool

pytestmark = pytest.mark.timeout(450)
ROOT_DIR = Path(__file__).resolve().parents[2]
HERE = Place("trees/t/t.hjson", 1, 1, "boot_test")
BOARDS = {
    "armhf": ("virt", "arm", "cortex-a15"),
    "arm64": ("virt", "aarch64", "cortex-a53"),
    "amd64": ("q35", "x86_64", "max"),
}
"""With a processor that is named, so KVM is not asked: a test of its own does."""

SECRETS = {"ROOT_PASSWORD": PASSWORD}


def expect(kind: str, text: str = "", **more: object) -> Expectation:
    return Expectation(kind, text, HERE, **more)  # type: ignore[arg-type]


LOG_IN = (
    expect("wait", "login:"),
    expect("type", "root"),
    expect("wait", "Password:"),
    expect("type", secret="ROOT_PASSWORD"),
    expect("wait", "# "),
)


def boots(architecture: str, *expectations: Expectation, **more: object) -> BootTest:
    machine, program, cpu = BOARDS[architecture]
    test = BootTest(
        machine,
        HERE,
        program,
        cpu,
        kernel="boot:vmlinuz*",
        initrd="boot:initrd.img*",
        timeout_s=240.0,
        expectations=expectations,
    )
    return replace(test, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def workshop(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop with the real toolbox."""
    run = new_run_id(time.time())
    toolbox = Toolbox(
        engine, image_maker(engine, lambda _: None), run, cache_dir=tmp_path_factory.mktemp("c")
    )
    return Workshop(engine, None, "/", SECRETS, lambda _: None, run, toolbox)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def disk_of(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the tiny disk of an architecture; each is made once."""
    folder = tmp_path_factory.mktemp("disks")

    def made(architecture: str) -> Path:
        file = folder / f"{architecture}.img"
        if not file.exists():
            assert workshop.toolbox is not None
            make_disk(workshop.toolbox, file, kernel_for(architecture))
        return file

    return made


def containers_of(workshop: Workshop) -> list[object]:
    return list(workshop.engine.containers({labels.RUN: workshop.run}))


@pytest.mark.parametrize(
    ("architecture", "says"), [("armhf", "armv7l"), ("arm64", "aarch64"), ("amd64", "x86_64")]
)
def test_a_system_boots_to_a_login_and_runs_a_command(architecture, says, workshop, disk_of, tmp_path):
    """Kernel and first file system come out of the disk, and its root is found by its PARTUUID."""
    disk = disk_of(architecture)
    before = disk.stat().st_mtime_ns
    test = boots(
        architecture,
        *LOG_IN,
        expect("run", "uname -m", matches=f"^{says}$"),
        expect("run", "grep -c ext4 /proc/mounts; echo it is >/left; exit 3", matches="^1$", exit_code=3),
        expect("power_off"),
    )
    if architecture == "amd64":  # out of an ext4, by a link, as the image names it
        test = replace(test, kernel="/vmlinuz", initrd="/kernel/initrd.img*")
    heard: list[str] = []

    result = boot_disk(test, disk, [BOOT, ROOT], workshop, tmp_path / "boot.log", heard.append)

    assert (result.passed, result.reason) == (True, "")
    transcript = (tmp_path / "boot.log").read_text(encoding="utf-8", errors="replace")
    assert "Linux version 6.1" in transcript
    assert f"\n{says}" in transcript
    assert PASSWORD not in transcript
    assert f"booting it on {test.machine}: waiting for 'login:'" in heard
    assert disk.stat().st_mtime_ns == before
    assert containers_of(workshop) == []


@pytest.mark.parametrize(
    ("changes", "expectations", "secret", "reason"),
    [
        (
            {"append": "console=ttyAMA0 root=/dev/vda7 rw"},
            [],
            PASSWORD,
            "the initramfs waited in vain .*/dev/vda7",
        ),
        (
            {"initrd": "", "append": "console=ttyAMA0 root=/dev/vda2"},
            [],
            PASSWORD,
            "the kernel found no root file system",
        ),
        (
            {"append": f"console=ttyAMA0 root=PARTUUID={ROOT.uuid} init=/bin/none"},
            [],
            PASSWORD,
            "kernel panic",
        ),
        ({}, LOG_IN, "wrong", "^the login was refused"),
        ({"kernel": "boot:linux*"}, [], PASSWORD, "no /linux. in the partition 'boot': it has .*vmlinuz-6.1"),
    ],
    ids=["a wrong root", "no root", "a kernel panic", "a wrong password", "no kernel"],
)
def test_a_system_that_does_not_come_up_fails_with_the_reason(
    changes, expectations, secret, reason, workshop, disk_of, tmp_path
):
    """The reason is one sentence, and the console's last lines show what it was."""
    test = boots("arm64", *(expectations or [expect("wait", "login:")]), **changes)

    result = boot_disk(
        test,
        disk_of("arm64"),
        [BOOT, ROOT],
        replace(workshop, secrets={"ROOT_PASSWORD": secret}),
        tmp_path / "boot.log",
    )

    assert not result.passed
    assert re.search(reason, result.reason), result.reason
    assert result.duration_s < 200
    assert result.last_lines or "partition" in result.reason
    assert containers_of(workshop) == []


def test_a_login_that_never_comes_ends_at_the_time_limit(workshop, disk_of, tmp_path):
    """The last lines are those that the machine wrote while it was waited for."""
    test = boots("arm64", expect("wait", "never this", timeout_s=2))

    result = boot_disk(test, disk_of("arm64"), [BOOT, ROOT], workshop, tmp_path / "boot.log")

    assert result.reason.startswith("'never this' did not come within 2 s")
    assert containers_of(workshop) == []


def test_a_raspberry_boots_the_disk_as_its_card(workshop, disk_of, tmp_path):
    """Its own device tree, a card of a size that QEMU takes, the disk's command line, and it goes off."""
    test = boots("armhf", *LOG_IN, expect("power_off"), machine="raspi2b", cpu="", timeout_s=400.0)

    result = boot_disk(test, disk_of("armhf"), [BOOT, ROOT], workshop, tmp_path / "boot.log")

    assert (result.passed, result.reason) == (True, "")
    transcript = (tmp_path / "boot.log").read_text(encoding="utf-8", errors="replace")
    assert "Machine model: Raspberry Pi 2 Model B" in transcript
    assert "mmcblk0: p1 p2" in transcript
    assert "sdhost" not in transcript


def test_a_disk_boots_itself_through_u_boot(workshop, disk_of, tmp_path):
    """The image's own boot partition is what is tested: no kernel is handed over."""
    test = boots("arm64", expect("wait", "login:"), kernel="", initrd="", firmware="u-boot")

    result = boot_disk(test, disk_of("arm64"), [BOOT, ROOT], workshop, tmp_path / "boot.log")

    assert (result.passed, result.reason) == (True, "")
    assert "U-Boot" in (tmp_path / "boot.log").read_text(encoding="utf-8", errors="replace")


BOOT_CODE = bytes.fromhex("fa31c08ed8be167cac84c07406baf803eeebf5f4ebfd") + b"tiny login:\0"
"""For the first sector of a PC: writes the text that follows it to the serial line, and stops."""


@pytest.mark.parametrize(
    ("sector", "reason"),
    [
        (BOOT_CODE.ljust(510, b"\0") + b"\x55\xaa", ""),
        (bytes(512), "^the firmware found nothing to boot on the disk$"),
    ],
    ids=["boot code", "no boot code"],
)
def test_a_pc_boots_the_code_of_the_first_sector(sector, reason, workshop, tmp_path):
    """By its BIOS, whose messages are on the serial line, too."""
    file = tmp_path / "pc.img"
    file.write_bytes(sector + bytes(1 << 20))
    test = boots("amd64", expect("wait", "tiny login:"), kernel="", initrd="", firmware="bios")

    result = boot_disk(test, file, [], workshop, tmp_path / "boot.log")

    assert result.passed == (not reason)
    assert re.search(reason, result.reason)


def test_a_user_who_stops_leaves_no_machine(workshop, disk_of, tmp_path):
    """Ctrl-C ends the machine at once."""
    cancel = threading.Event()
    test = boots("arm64", expect("wait", "never this"))

    def stop_when_booting(text: str) -> None:
        if "waiting" in text:
            cancel.set()

    with pytest.raises(Interrupted):
        boot_disk(
            test,
            disk_of("arm64"),
            [BOOT, ROOT],
            replace(workshop, cancel=cancel),
            tmp_path / "boot.log",
            stop_when_booting,
        )

    assert containers_of(workshop) == []


def test_kvm_is_used_only_where_it_runs_a_kernel_and_is_asked_once(workshop, disk_of, tmp_path, monkeypatch):
    """On many hosts /dev/kvm is there and guests hang; what a probe said holds while the host is up."""
    toolbox = workshop.toolbox
    assert toolbox is not None
    test = boots("amd64", expect("wait", "login:"), cpu="")
    if not qemu.can_be(test, toolbox):
        assert qemu.accelerator_for(test, disk_of("amd64"), [BOOT, ROOT], toolbox) == "tcg"
        return
    monkeypatch.setattr(qemu, "PROBE_S", 5.0)
    monkeypatch.setattr(qemu, "_known", {})

    first = qemu.accelerator_for(test, disk_of("amd64"), [BOOT, ROOT], toolbox)
    qemu._known.clear()
    began_s = time.monotonic()
    second = qemu.accelerator_for(test, tmp_path / "no.img", [BOOT, ROOT], toolbox)

    assert first == second
    assert time.monotonic() - began_s < 20
    if first == "kvm":
        assert boot_disk(test, disk_of("amd64"), [BOOT, ROOT], workshop, tmp_path / "boot.log").passed
    assert containers_of(workshop) == []


def test_a_user_logs_in_at_the_console_of_an_image(disk_of):
    """What the image boots with is read off it; Ctrl-C goes to the machine, and Ctrl-A X ends it."""
    child = pexpect.spawn(
        str(ROOT_DIR / "stalker"), ["image", "boot", str(disk_of("arm64"))], timeout=300, encoding="utf-8"
    )
    child.expect("Ctrl-A X ends the machine")
    child.expect("login: ")
    time.sleep(0.5)  # a getty throws away what was typed before it reads
    child.send("root\r")
    child.expect("Password: ")
    time.sleep(0.5)
    child.send(f"{PASSWORD}\r")
    child.expect("# ")
    child.send("echo be''gun; sleep 999\r")
    child.expect("begun\r")
    for _ in range(20):
        child.sendintr()  # one that comes before `sleep` has begun ends nothing
        if child.expect(["# ", pexpect.TIMEOUT], timeout=10) == 0:
            break
    child.send("uname -m; mount\r")
    child.expect("aarch64\r")
    child.send("\x01x")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0


def test_an_image_is_tested_again_by_its_manifest(disk_of, tmp_path):
    """The test, its machine and the partitions are those that were published with it."""
    folder = tmp_path / "image-123456789abc"
    folder.mkdir()
    file = folder / "tiny.img"
    os.link(disk_of("arm64"), file)
    test = boots("arm64", *LOG_IN, expect("run", "uname -m", matches="armv7l"))
    facts = [{**asdict(one), "partuuid": one.uuid} for one in (BOOT, ROOT)]
    published = PublishedFile(file.name, file.stat().st_size, "0" * 64)
    manifest = Manifest(
        *("t", "s/image", "disk", "f" * 64, {}, {}, "s:x", "sha256:1", "run", "2026-01-01"),
        files=(published,),
        disk={"partitions": facts},
        boot={"test": as_record(test)},
    )
    write_manifest(folder, manifest)

    done = subprocess.run(
        [ROOT_DIR / "stalker", "image", "boot", "--test", file],
        env={**os.environ, **SECRETS},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "the boot test failed on virt: `uname -m` said 'aarch64', which does not match" in done.stderr
    assert "  | aarch64\n" in done.stderr


def test_the_machine_of_a_killed_run_is_swept(engine, disk_of):
    """A kill -9 leaves the container to the next run, which removes it."""
    file = disk_of("arm64")
    program = subprocess.Popen(
        [ROOT_DIR / "stalker", "image", "boot", "--test", file], stderr=subprocess.PIPE, text=True
    )
    assert program.stderr is not None
    said = next(line for line in program.stderr if "waiting for" in line)
    left = [one.name for one in engine.containers({labels.RUN: ""}) if "toolbox_qemu" in one.name]
    program.kill()
    program.wait()
    program.stderr.close()

    told: list[str] = []
    sweep(engine, [], told.append)

    assert "'login:'" in said
    assert [name for name in left if any(name in text for text in told)] != []


@pytest.fixture(scope="module")
def card(workshop: Workshop) -> Iterator[Tool]:
    """A container to make small disks in."""
    assert workshop.toolbox is not None
    with workshop.toolbox.opened("toolbox_qemu") as tool:
        yield tool


HEADS = {
    "aarch64": b"MZ" + b"\0" * 54 + b"ARM\x64",
    "packed": b"\x1f\x8b\x08",
    "arm": b"\0" * 36 + b"\x18\x28\x6f\x01",
    "x86_64": b"MZ" + b"\0" * 512 + b"HdrS",
}


@pytest.mark.parametrize(
    ("files", "asked", "guessed"),
    [
        (
            {"bootcode.bin": "", "kernel7.img": "arm", "initramfs7": ""},
            {},
            ("raspi2b", "arm", "", "kernel*.img"),
        ),
        ({"bcm2837-rpi-3-b.dtb": "", "kernel8.img": "packed"}, {}, ("raspi3b", "aarch64", "", "kernel*.img")),
        ({"EFI/BOOT/BOOTX64.EFI": "", "vmlinuz": "x86_64"}, {}, ("q35", "x86_64", "uefi", "")),
        ({"EFI/BOOT/BOOTAA64.EFI": ""}, {}, ("virt", "aarch64", "uefi", "")),
        ({"extlinux/extlinux.conf": "", "vmlinuz-6.1": "aarch64"}, {}, ("virt", "aarch64", "u-boot", "")),
        ({"vmlinuz-6.1": "arm", "initrd.img-6.1": ""}, {}, ("virt", "arm", "", "vmlinuz*")),
        ({"vmlinuz": "x86_64"}, {}, ("q35", "x86_64", "", "vmlinuz*")),
        ({"syslinux.cfg": ""}, {"has_boot_code": True}, ("q35", "x86_64", "bios", "")),
        ({"bootcode.bin": "", "kernel7.img": "arm"}, {"machine": "virt"}, ("virt", "arm", "", "kernel*.img")),
        ({"EFI/BOOT/BOOTX64.EFI": ""}, {"machine": "pc"}, ("pc", "x86_64", "uefi", "")),
        ({"readme": ""}, {"machine": "q35"}, ("q35", "", "", "")),
    ],
)
def test_what_an_image_boots_with_is_read_off_it(files, asked, guessed, card):
    """An image that somebody else made has no manifest."""
    part = Part(1, "1", "vfat", 0, 8 << 20)
    card.run(["sh", "-c", "rm -rf /tmp/*; truncate -s 8M /tmp/disk; mformat -i /tmp/disk -T 16384 ::"])
    for name, kind in files.items():
        folder = os.path.dirname(name)
        folders = [folder[:at] for at, sign in enumerate(f"{folder}/") if sign == "/" and at]
        for one in folders:
            card.run(["mmd", "-i", "/tmp/disk", f"::{one}"])
        card.run(["mcopy", "-i", "/tmp/disk", "-", f"::{name}"], [HEADS.get(kind, b"x") + b"\0" * 600])

    test = guess_test(card, "/tmp/disk", [part], **asked)

    machine, architecture, firmware, kernel = guessed
    assert (test.machine, test.architecture, test.firmware) == (machine, architecture, firmware)
    assert test.kernel == (f"1:{kernel}" if kernel else "")
    assert bool(test.initrd) == any(name.startswith("init") for name in files)


def test_an_image_that_tells_nothing_needs_the_machine_named(card):
    """The error says how."""
    card.run(["sh", "-c", "rm -rf /tmp/*; truncate -s 8M /tmp/disk; mformat -i /tmp/disk -T 16384 ::"])

    with pytest.raises(StalkerError) as raised:
        guess_test(card, "/tmp/disk", [Part(1, "1", "vfat", 0, 8 << 20)])

    assert "--machine" in raised.value.resolution
