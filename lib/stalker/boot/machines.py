"""QEMU's machines: what each one needs so that a disk boots in it with its console on our streams.

    raspi2b, raspi3b   kernel, initrd and device tree out of the disk (QEMU has no Raspberry firmware); the
                       disk is an SD card, whose size QEMU wants to be a power of two
    virt               a kernel, or U-Boot: it starts what the disk has (extlinux, boot scripts, EFI programs)
    q35, pc            a kernel, or the firmware of a PC
    microvm            a kernel that takes devices from its command line (CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES)

Pure: values in, an argv out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.io.units import size_text
from stalker.model.artifacts import MACHINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.artifacts import BootTest

GIB = 1 << 30
SERIAL_CONSOLE = re.compile(r"console=(?:tty(?!\d)\w+|serial\d|hvc\d)\S*")
"""A console that is a serial line; `tty0` is a screen and may stay."""

ROOT = re.compile(r"root=/dev/(?:mmcblk\d+p|vd[a-z]|sd[a-z]|nvme\d+n\d+p|hd[a-z]|xvd[a-z])(\d+)")
"""A root device by the name that some disk driver gives it, and the number of the partition."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a disk: where it is, and what of the image it holds (`/`, `/boot/firmware`)."""

    number: int
    name: str
    filesystem: str
    start_bytes: int
    size_bytes: int
    uuid: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """How a machine is started.

    `console` is its serial line as Linux names it, the `serial_before`th one of the machine. `device` is how
    the disk is attached, empty for an SD card, and `disk` how Linux names its partitions. A board of real
    hardware has a fixed processor and memory (`is_fixed`).
    """

    console: str
    disk: str
    device: str = ""
    random: str = ""
    cpu: str = ""
    cpus: int = 2
    memory_bytes: int = GIB
    is_fixed: bool = False
    serial_before: int = 0
    device_trees: tuple[str, ...] = ()
    settings: str = ""
    more: tuple[str, ...] = ()


PC = Board(
    "ttyS0",
    "vda",
    "virtio-blk-pci",
    "virtio-rng-pci",
    "max",
    # A BIOS tells its troubles on the screen; without one, on the serial line. Boot loaders want a screen.
    settings="graphics=off",
    more=("-vga", "std"),
)

BOARDS = {
    ("raspi2b", "arm"): Board(
        console="ttyAMA0,115200",
        disk="mmcblk0p",
        cpus=4,
        is_fixed=True,
        device_trees=("bcm2836-rpi-2-b.dtb", "bcm2709-rpi-2-b.dtb"),
    ),
    # The first serial line of a Pi 3 is its bluetooth's: no login is ever started there.
    ("raspi3b", "aarch64"): Board(
        console="ttyS1,115200",
        disk="mmcblk0p",
        cpus=4,
        is_fixed=True,
        serial_before=1,
        device_trees=("bcm2837-rpi-3-b.dtb", "bcm2710-rpi-3-b.dtb"),
    ),
    ("virt", "arm"): Board("ttyAMA0", "vda", "virtio-blk-device", "virtio-rng-device", "cortex-a15"),
    ("virt", "aarch64"): Board("ttyAMA0", "vda", "virtio-blk-device", "virtio-rng-device", "cortex-a53"),
    ("q35", "x86_64"): PC,
    ("q35", "i386"): PC,
    ("pc", "x86_64"): PC,
    ("pc", "i386"): PC,
    # With ACPI it would have no timer that a kernel can measure time by where nothing is accelerated.
    ("microvm", "x86_64"): Board(
        "ttyS0", "vda", "virtio-blk-device", "virtio-rng-device", "max", settings="acpi=off"
    ),
}

ANY_BOARD = Board("ttyS0", "vda", "virtio-blk-pci", "virtio-rng-pci")
"""For a machine of QEMU that is none of the above."""

FIRMWARE = {
    ("virt", "arm", "u-boot"): "/usr/lib/u-boot/qemu_arm/u-boot.bin",
    ("virt", "aarch64", "u-boot"): "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
    # U-Boot starts EFI/BOOT/BOOTARM.EFI and BOOTAA64.EFI as any UEFI does.
    ("virt", "arm", "uefi"): "/usr/lib/u-boot/qemu_arm/u-boot.bin",
    ("virt", "aarch64", "uefi"): "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
    ("q35", "x86_64", "uefi"): "/usr/share/ovmf/OVMF.fd",
    ("pc", "x86_64", "uefi"): "/usr/share/ovmf/OVMF.fd",
}
"""Firmware files as the toolbox has them; `bios` is what a PC starts by itself."""


def architecture_of(test: BootTest) -> str:
    """Return the architecture of a test's machine: `arm`, `aarch64`, `x86_64`.

    Raises:
        StalkerError: the machine is none that is known, and the test names no architecture.
    """
    if test.architecture:
        return test.architecture
    if test.machine not in MACHINES:
        raise StalkerError(
            f"{test.place}: no machine named '{test.machine}' is known",
            f"known are {', '.join(MACHINES)}",
            "take one of these, or name the `architecture` of another one that QEMU has",
        )
    return MACHINES[test.machine].architectures[0]


def board_of(test: BootTest) -> Board:
    """Return how a test's machine is started. Raises StalkerError."""
    return BOARDS.get((test.machine, architecture_of(test)), ANY_BOARD)


def firmware_of(test: BootTest) -> str:
    """Return the firmware file that boots the disk, empty for a kernel of its own and for a PC's BIOS.

    Raises:
        StalkerError: the machine has no such firmware, or there is nothing to boot with.
    """
    architecture = architecture_of(test)
    known = MACHINES.get(test.machine)
    name = test.firmware
    if test.kernel:
        return ""
    if not name and known is not None:
        if not known.firmware:
            raise StalkerError(
                f"{test.place}: a {test.machine} boots no disk by itself",
                "QEMU has no firmware for it",
                'name the kernel: `kernel: "boot:vmlinuz*"`, and `initrd` and `dtb` where they are needed',
            )
        name = known.firmware[0]
    if name in {"bios", ""}:
        return ""
    file = FIRMWARE.get((test.machine, architecture, name), "")
    if not file:
        raise StalkerError(
            f"{test.place}: no firmware {name} is here for a {test.machine} ({architecture})",
            "",
            'take another one, or name the kernel: `kernel: "boot:vmlinuz*"`',
        )
    return file


def card_bytes(test: BootTest, size_bytes: int) -> int:
    """Return the size that the machine is to see of a disk: for an SD card the next power of two."""
    return size_bytes if board_of(test).device else 1 << (size_bytes - 1).bit_length()


def kernel_arguments(test: BootTest, own: str, parts: Sequence[Part]) -> str:
    """Return the kernel's command line: the test's own, else that of the disk made fit for the machine.

    The console becomes the machine's. A root device that is named by its driver becomes that of the machine's
    disk; one by PARTUUID, UUID or LABEL stays. Without any it is what holds `/`. `own` is empty for a disk without a cmdline.txt.
    """
    if test.append:
        return test.append
    board = board_of(test)
    # The parked processors of a Raspberry Pi would spin, and take all the time there is.
    unwanted = r"(?:maxcpus|nr_cpus)=\d+" if board.is_fixed else r"(?!)"
    words = [
        word
        for word in own.split()
        if not SERIAL_CONSOLE.fullmatch(word) and not re.fullmatch(unwanted, word)
    ]
    words = [ROOT.sub(rf"root=/dev/{board.disk}\1", word) for word in words]
    root = next((part for part in parts if part.source == "/"), None)
    if root is not None and not root.start_bytes:
        words = [word for word in words if not word.startswith("root=")]
    if root is not None and not any(word.startswith("root=") for word in words):
        words += [f"root={_device(root, board)}", "rw", "rootwait"]
    return " ".join([*words, f"console={board.console}"])


def _device(root: Part, board: Board) -> str:
    """Return how the kernel finds a root: a file system that begins where the disk does is the whole disk."""
    if not root.start_bytes:
        return f"/dev/{board.disk.removesuffix('p')}"
    return f"PARTUUID={root.uuid}" if root.uuid else f"/dev/{board.disk}{root.number}"


def qemu_argv(
    test: BootTest,
    *,
    disk: str,
    kernel: str = "",
    initrd: str = "",
    device_tree: str = "",
    append: str = "",
    accelerator: str = "tcg",
    is_for_people: bool = False,
) -> tuple[str, ...]:
    """Return the command that boots a disk, with the machine's console on standard input and output.

    `disk` is a qcow2 file that may be written; the other files are empty for none. For people the machine may
    start again, and Ctrl-A begins a command to QEMU: X ends it, H tells the others.

    Raises:
        StalkerError: a real board is asked for with another number of processors or other memory.
    """
    architecture = architecture_of(test)
    board = board_of(test)
    argv = [
        f"qemu-system-{architecture}",
        "-M",
        ",".join(filter(None, (test.machine, board.settings))),
        "-accel",
        accelerator,
    ]
    cpu = "host" if accelerator == "kvm" else test.cpu or board.cpu
    if cpu:
        argv += ["-cpu", cpu]
    argv += _processors(test, board)
    argv += ["-nodefaults", "-no-user-config", "-display", "none"]
    argv += [] if is_for_people else ["-no-reboot", "-monitor", "none"]
    console = "mon:stdio" if is_for_people else "stdio"
    argv += ["-serial", "null"] * board.serial_before + ["-serial", console, *board.more]
    argv += _attached(disk, board)
    if board.random:
        argv += ["-device", board.random]
    argv += _network(board) if test.has_network else ["-nic", "none"]
    firmware = firmware_of(test)
    if firmware:
        argv += ["-bios", firmware]
    for option, file in (
        ("-kernel", kernel),
        ("-initrd", initrd),
        ("-dtb", device_tree),
        ("-append", append),
    ):
        if file and kernel:
            argv += [option, file]
    return tuple(argv)


def _processors(test: BootTest, board: Board) -> list[str]:
    cpus = test.cpus or board.cpus
    memory = test.memory_bytes or board.memory_bytes
    if board.is_fixed and (cpus, memory) != (board.cpus, board.memory_bytes):
        raise StalkerError(
            f"{test.place}: a {test.machine} has {board.cpus} processors and {size_text(board.memory_bytes)}",
            "it is a board, and QEMU makes no other one",
            "leave out `cpus` and `memory`",
        )
    return ["-smp", str(cpus), "-m", f"{memory >> 20}M"]


def _attached(disk: str, board: Board) -> list[str]:
    # What is written is thrown away: it need not reach any disk. A comma in an option is doubled.
    drive = f"file={disk.replace(',', ',,')},format=qcow2,cache=unsafe"
    if not board.device:
        return ["-drive", f"{drive},if=sd"]
    return ["-drive", f"{drive},if=none,id=disk", "-device", f"{board.device},drive=disk"]


def _network(board: Board) -> list[str]:
    model = {"virtio-blk-pci": "virtio-net-pci", "virtio-blk-device": "virtio-net-device"}
    card = model.get(board.device, "usb-net")
    return ["-netdev", "user,id=net", "-device", f"{card},netdev=net"]
