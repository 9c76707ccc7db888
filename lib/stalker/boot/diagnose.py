"""What a console says when a machine will never come up, and what that means."""

from __future__ import annotations

import re

_KERNEL = r"^(?:\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? )?"
_EMERGENCY = "systemd is in emergency mode"
_CAUSES = (
    re.compile(r"\[(?:FAILED| TIME )\] (.*)$", re.MULTILINE),
    re.compile(r"systemd\[1\]: (Timed out waiting for device .*)$", re.MULTILINE),
    re.compile(r"(?:\[DEPEND\]|systemd\[1\]:) (Dependency failed for .*)$", re.MULTILINE),
)
"""What systemd tells of a unit that failed, or of a device that it has waited for in vain; the surest first.

It may be behind what systemd says of the time that it waits, which ends in no line end.
"""

_NO_SWITCH = (
    "the machine halted without going off: its kernel has no driver that switches it off "
    "(a Raspberry Pi needs bcm2835_wdt)"
)

OF_KERNEL = (
    (
        rf"{_KERNEL}Kernel panic - not syncing: (?:VFS: )?(Unable to mount root fs.*)\n",
        "the kernel found no root file system: {}",
    ),
    (
        rf"{_KERNEL}Kernel panic - not syncing: (.*[Nn]o working init found.*)\n",
        "the root file system has no init that runs: {}",
    ),
    (rf"{_KERNEL}Kernel panic - not syncing: (.*)\n", "kernel panic: {}"),
    (
        r"^Error: (?:invalid dtb and )?unrecognized/unsupported machine ID.*\n",
        "the kernel does not know the machine: it was given no device tree, or one of another board",
    ),
    (rf"{_KERNEL}(?:reboot: )?System halted\b.*\n", _NO_SWITCH),
)
"""(pattern, reason) in the order in which they are asked; `{}` is what the pattern's group matched."""

OF_PROGRAMS = (
    (r"^ALERT! +(.*?) +does not exist\..*\n", "the initramfs waited in vain for the root device {}"),
    (r"^Failed to mount (.*) as root file system.*\n", "the initramfs could not mount {} as the root"),
    (
        r"^(?:/init: .*)?run-init: (?:can't execute )?'?(/[^:']+)'?: (?:No such file|Permission denied|Exec format).*\n",
        "the root file system has no init that runs: {}",
    ),
    (r"^No init found\. Try passing init= bootarg\..*\n", "the root file system has no init"),
    (r"^(?:.*dracut.*: )?(?:Warning: |\S+: )?dracut: FATAL: (.*)\n", "the initramfs gave up: {}"),
    (r"^Mounting root: .*failed\.\s*\n", "the initramfs could not mount the root"),
    (r"^initramfs emergency recovery shell launched\..*\n", "the initramfs gave up and opened a shell"),
    (r"^\[!!!!!!\] (.*)\n", "systemd gave up: {}"),
    (r"^INIT: (No inittab file found)\b.*\n", "init cannot start anything: {}"),
    (r"^(?:You are in|Welcome to) emergency mode.*\n", _EMERGENCY),
    (r"^(?:You are in|Welcome to) rescue mode.*\n", "systemd is in rescue mode"),
    (r"^Cannot open access to console, the root account is locked.*\n", _EMERGENCY),
    (r"^Login incorrect\b.*\n", "the login was refused: Login incorrect"),
    (
        r"^(?:Boot failed: not a bootable disk|No bootable device\.).*\n",
        "the firmware found nothing to boot on the disk",
    ),
    (r"^Bad Linux ARM(?:64)? Image magic.*\n", "U-Boot was given a kernel that is none"),
    (r"^Wrong Image Format for boot\w+ command.*\n", "U-Boot was given a kernel that is none"),
    (
        r"^(?:ERROR: Did not find a cmdline Flattened Device Tree|FDT and ATAGS support not compiled in).*\n",
        "U-Boot has no device tree for the kernel",
    ),
    (r"^error: (?:\S+:)?you need to load the kernel first\..*\n", "GRUB could not load the kernel"),
)
"""The same of what no kernel says; a command's output may well have such a line."""

PROMPTS = (
    (r"^\(initramfs\) \Z", "the initramfs gave up and opened a shell"),
    (r"^dracut:.*# \Z", "the initramfs gave up and opened a shell"),
    (r"^grub(?: rescue)?> \Z", "the boot loader GRUB gave up and opened its shell"),
    (r"^=> \Z", "U-Boot found nothing to boot on the disk and opened its shell"),
    (r"Shell> \Z", "the firmware found nothing to boot on the disk and opened its shell"),
)
"""The same of prompts, which are at the end until something is typed."""

HINTS = (
    (r"Waiting for root device (.*?)\.\.\.", "the kernel waits for the root device {}, which is not there"),
    (r"^Target filesystem doesn't have requested (.*?)\.?$", "the root file system does not have {}"),
    (r"modprobe: FATAL: (Module \S+ not found.*)", "a module of the kernel is missing: {}"),
    (r"Direct firmware load for (\S+) failed", "the firmware {} is missing"),
    (r"^(.*No space left on device.*)$", "the disk is full: {}"),
    (r"EFI stub: ERROR: (.*)", "the kernel's EFI stub stopped: {}"),
    (r"^Booting from Hard Disk\.\.\.", "the first sector of the disk starts nothing"),
    (r"Unable to handle kernel|Internal error: Oops|BUG: (?!soft lockup)", "the kernel stumbled: {}"),
)
"""What may be why nothing more comes, once it is clear that nothing does."""

SLOW = (
    (
        r"BUG: soft lockup|detected stalls? on CPU",
        "the machine got too little of this host's time; try again when the host has less to do",
    ),
)
"""What a machine says that is starved, and that may go on none the less."""


def find_trouble(text: str, before: str = "", *, of_kernel_only: bool = False) -> str:
    """Return why nothing more will come, as far as these lines tell; empty when they tell nothing.

    `text` begins at the beginning of a line. `before` is what came before it, which may tell the cause.
    """
    said = _first(text, OF_KERNEL) or ("" if of_kernel_only else _first(text, OF_PROGRAMS))
    for pattern in _CAUSES if said == _EMERGENCY else ():
        cause = pattern.search(before)
        if cause:
            # The first one that failed took the others with it.
            return f"{said}: {cause[1].strip()}"
    return said


def find_prompt(line: str) -> str:
    """Return why a machine waits at a prompt that is not a login, empty for any other line."""
    return _first(line, PROMPTS)


def find_hint(text: str, *, out_of_time: bool = False) -> str:
    """Return what a text says about why nothing more came, empty for nothing.

    A machine that is only slow is reported when it is `out_of_time`; until then it may go on.
    """
    if not text.strip():
        return "the console was silent: is it that of the kernel's `console=`?"
    for line in reversed(text.splitlines()):
        said = _first(f"{line}\n", (*HINTS, *SLOW) if out_of_time else HINTS)
        if said:
            return said
    return ""


def _first(text: str, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, reason in table:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            said = found[1].strip() if found.re.groups else text.strip()
            return reason.format(said)
    return ""
