"""Guess how a disk boots from its content: for images without a boot test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from stalker.boot.boot_files import NotBootable, copy_out, find_file, list_folder
from stalker.errors import Interrupted, NoEngine, StalkerError
from stalker.formats.fs.fat.names import fold
from stalker.io.compression.magic import GZIP_MAGIC
from stalker.model.artifacts import MACHINES, BootTest, Machine
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.boot.boot_files import Entry, Runs
    from stalker.boot.machines import Part

PLACE = Place("the image")
EFI = {
    "bootx64.efi": ("q35", "x86_64"),
    "bootaa64.efi": ("virt", "aarch64"),
    "bootarm.efi": ("virt", "arm"),
}
"""The program that UEFI starts from a disk, by processor."""

KERNELS = ("vmlinuz*", "kernel*.img", "zImage*", "Image*", "bzImage*")
INITRDS = ("initrd*", "initramfs*")
ARM64_MAGIC = (56, b"ARM\x64")
ARM_MAGIC = (36, b"\x18\x28\x6f\x01")
X86_MAGIC = (514, b"HdrS")
GZIP = (0, GZIP_MAGIC)
"""Debian's and the Raspberry Pi's kernels for arm64 may be packed; those for arm never are."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The root directory of a partition: all names in lower case, and its files as a pattern sees them."""

    part: Part
    names: frozenset[str]
    files: frozenset[str]

    def matches(self, pattern: str) -> bool:
        """Return whether a file matches: on a FAT whatever its case, as `find_file` decides it."""
        wanted = fold(pattern) if self.part.filesystem == "vfat" else pattern
        return any(fnmatchcase(name, wanted) for name in self.files)


def guess_test(
    tool: Runs, disk: str, parts: Sequence[Part], *, machine: str = "", has_boot_code: bool = False
) -> BootTest:
    """Return how a disk is booted, on `machine` if that is given; nothing is expected of it.

    A Raspberry Pi's firmware tells its boards; then what UEFI starts, what U-Boot starts, the code in the first
    sector. A machine that boots no disk by itself gets the kernel that lies in the disk.

    Raises:
        StalkerError: nothing tells; the user must.
    """
    found = [_root_of(tool, disk, part) for part in parts if part.filesystem in {"vfat", "ext4"}]
    kernel = _kernel(found)
    of_kernel = _architecture_of(tool, disk, *kernel) if kernel else ""
    guessed = _machine(tool, disk, found, of_kernel, has_boot_code=has_boot_code)
    if guessed is None and not machine:
        raise StalkerError(
            "nothing in the disk tells which machine it is for",
            "it has no boot code, no program for UEFI, no firmware of a Raspberry Pi, and no kernel",
            f"name a machine: --machine {', '.join(MACHINES)}",
        )
    known = MACHINES.get(machine or (guessed[0] if guessed else ""), Machine(()))
    name, architecture, firmware = guessed or ("", "", "")
    if machine and machine != name:
        name, firmware = machine, firmware if firmware in known.firmware else ""
        architecture = next((one for one in (architecture, of_kernel) if one in known.architectures), "")
    test = BootTest(name, PLACE, architecture, firmware=firmware)
    if firmware or (kernel is None and known.firmware):
        return test
    if kernel is None:
        raise StalkerError(
            f"no kernel is in the disk for a {name}", "", "name another machine with --machine"
        )
    return _with_kernel(test, found, *kernel)


def _machine(
    tool: Runs, disk: str, found: Sequence[_Found], architecture: str, *, has_boot_code: bool
) -> tuple[str, str, str] | None:
    """Return machine, architecture and firmware, None when nothing tells."""
    for one in found:
        if "bootcode.bin" in one.names or any(name.startswith(("bcm27", "bcm28")) for name in one.names):
            return ("raspi3b", "aarch64", "") if architecture == "aarch64" else ("raspi2b", "arm", "")
    for one in found:
        for name in (
            sorted(entry.name.lower() for entry in _entries(tool, disk, one.part, "/EFI/BOOT"))
            if one.part.filesystem == "vfat"
            else ()
        ):
            if name in EFI:
                return (*EFI[name], "uefi")
    if architecture in {"arm", "aarch64"}:
        has_script = any({"extlinux", "boot.scr"} & one.names for one in found)
        return "virt", architecture, "u-boot" if has_script else ""
    if has_boot_code:
        return "q35", "x86_64", "bios"
    return ("q35", "x86_64", "") if architecture == "x86_64" else None


def _with_kernel(test: BootTest, found: Sequence[_Found], part: Part, kernel: str) -> BootTest:
    root = next(one for one in found if one.part == part)
    initrd = next(filter(root.matches, INITRDS), "")
    return replace(
        test,
        kernel=f"{part.name}:{kernel}",
        initrd=f"{part.name}:{initrd}" if initrd else "",
    )


def _kernel(found: Sequence[_Found]) -> tuple[Part, str] | None:
    """Return where kernels lie, and the pattern of their names; the boot partition comes before the root."""
    for one in sorted(found, key=lambda one: one.part.filesystem != "vfat"):
        for pattern in KERNELS:
            if one.matches(pattern):
                return one.part, pattern
    return None


def _architecture_of(tool: Runs, disk: str, part: Part, pattern: str) -> str:
    """Return the architecture of a kernel as its own head tells it, empty where it does not."""
    file = copy_out(tool, disk, part, find_file(tool, disk, part, f"/{pattern}"), "guess")
    head = tool.run(["head", "-c", "1024", file])
    for (at, magic), architecture in (
        (ARM64_MAGIC, "aarch64"),
        (ARM_MAGIC, "arm"),
        (X86_MAGIC, "x86_64"),
        (GZIP, "aarch64"),
    ):
        if head[at : at + len(magic)] == magic:
            return architecture
    return ""


def _root_of(tool: Runs, disk: str, part: Part) -> _Found:
    entries = _entries(tool, disk, part, "/")
    files = [entry.name for entry in entries if entry.kind != "folder"]
    return _Found(
        part,
        frozenset(entry.name.lower() for entry in entries),
        frozenset(map(fold, files) if part.filesystem == "vfat" else files),
    )


def _entries(tool: Runs, disk: str, part: Part, folder: str) -> list[Entry]:
    try:
        return list_folder(tool, disk, part, folder)
    except (Interrupted, NoEngine):
        raise
    except (NotBootable, StalkerError):
        return []
