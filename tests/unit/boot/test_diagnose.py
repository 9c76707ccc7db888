from __future__ import annotations

import pytest

from stalker.boot.console import Console, Failed
from stalker.model.artifacts import Expectation
from stalker.model.diagnostics import Place

DEVICE = r"dev-disk-by\x2dpartuuid-b9b1.device"
TIMED_OUT = f"Timed out waiting for device {DEVICE} - /dev/disk/by-partuuid/b9b1."
COLOURED = TIMED_OUT.replace(DEVICE, f"\x1b[0;1;39m{DEVICE}\x1b[0m")
TIME = f"[\x1b[0;1;31m TIME \x1b[0m] {COLOURED}\r\n"
LATER = "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mx.target\x1b[0m - X.\r\n" * 80
EMERGENCY = "You are in emergency mode. After logging in, type\r\n"


@pytest.mark.parametrize(
    ("before", "cause"),
    [
        (TIME, TIMED_OUT),
        (f"[   \x1b[0;31m*\x1b[0m] A start job is running (1min 29s / 1min 30s)\r\x1b[K{TIME}", TIMED_OUT),
        (f"[   95.123456] systemd[1]: {TIMED_OUT}\r\n", TIMED_OUT),
        (
            "[\x1b[0;1;38:5:185mDEPEND\x1b[0m] Dependency failed for /data.\r\n",
            "Dependency failed for /data.",
        ),
        (f"[DEPEND] Dependency failed for /data.\r\n{TIME}", TIMED_OUT),
    ],
    ids=["plain", "behind what it waits for", "in the kernel's log", "only what depends on it", "the surest"],
)
def test_emergency_mode_names_the_unit_from_80_lines_before(before, cause):
    """Colours, and how systemd showed that it waits, do not hide it."""
    console = Console([Expectation("wait", "login:", Place("t"))], timeout_s=900, now_s=0, token="x")

    said = console.feed((before + LATER + EMERGENCY).encode(), 1.0)

    assert said == [Failed(f"systemd is in emergency mode: {cause}")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run-init: /sbin/init: No such file or directory", "has no init that runs: /sbin/init"),
        (
            "run-init: can't execute '/sbin/init': No such file or directory",
            "has no init that runs: /sbin/init",
        ),
        ("run-init: /lib/systemd/systemd: Exec format error", "has no init that runs: /lib/systemd/systemd"),
        ("No init found. Try passing init= bootarg.", "the root file system has no init"),
        (
            "dracut: FATAL: Don't know how to handle 'root=x'",
            "the initramfs gave up: Don't know how to handle",
        ),
        ("Mounting root: failed.", "the initramfs could not mount the root"),
        (
            "initramfs emergency recovery shell launched. Type 'exit' to continue boot",
            "the initramfs gave up and opened a shell",
        ),
        ("[!!!!!!] Failed to mount API filesystems.", "systemd gave up: Failed to mount API filesystems."),
        ("INIT: No inittab file found", "init cannot start anything: No inittab file found"),
        ("Error: invalid dtb and unrecognized/unsupported machine ID", "one of another board"),
        ("Error: unrecognized/unsupported machine ID (r1 = 0x00000000).", "one of another board"),
        ("Wrong Image Format for bootm command", "U-Boot was given a kernel that is none"),
        ("ERROR: Did not find a cmdline Flattened Device Tree", "U-Boot has no device tree for the kernel"),
        (
            "error: ../../grub-core/loader/i386/efi/linux.c:258:you need to load the kernel first.",
            "GRUB could not",
        ),
        ("error: you need to load the kernel first.", "GRUB could not load the kernel"),
    ],
)
def test_a_line_after_which_nothing_comes_ends_the_boot_at_once(line, said):
    """A bad image costs seconds then, not the whole time of its test."""
    console = Console([Expectation("wait", "login:", Place("t"))], timeout_s=900, now_s=0, token="x")

    (failed,) = console.feed(f"Begin: Running /scripts/init-bottom ... done.\r\n{line}\r\n".encode(), 1.0)

    assert isinstance(failed, Failed)
    assert said in failed.reason


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "Target filesystem doesn't have requested /sbin/init.",
            "the root file system does not have /sbin/init",
        ),
        (
            "modprobe: FATAL: Module ext4 not found in directory /lib/modules/6.1",
            "Module ext4 not found in directory /lib/modules/6.1",
        ),
        (
            "[    3.1] brcmfmac: Direct firmware load for brcm/x.bin failed with error -2",
            "the firmware brcm/x.bin is missing",
        ),
        ("cp: error writing '/x': No space left on device", "the disk is full: cp: error writing '/x'"),
        ("EFI stub: ERROR: Failed to load initrd!", "the kernel's EFI stub stopped: Failed to load initrd!"),
    ],
)
def test_what_may_be_why_nothing_comes_is_said_when_time_is_out(line, hint):
    """A machine may go on after these: an init elsewhere, a driver that is not needed."""
    console = Console([Expectation("wait", "login:", Place("t"))], timeout_s=900, now_s=0, token="x")

    going_on = console.feed(f"{line}\r\n".encode(), 1.0)
    (failed,) = console.tick(1000.0)

    assert going_on == []
    assert hint in failed.reason


def test_an_initramfs_that_finds_another_init_goes_on():
    """It says that the requested one is missing, and boots."""
    console = Console([Expectation("wait", "login:", Place("t"))], timeout_s=900, now_s=0, token="x")
    line = "Target filesystem doesn't have requested /sbin/init.\r\n"

    said = console.feed(f"{line}Welcome\r\nbox login: ".encode(), 1.0)

    assert not any(isinstance(one, Failed) for one in said)
