"""A block device as the kernel tells of it, and why an image may not be written to it.

Source: Linux, Documentation/ABI/stable/sysfs-block and proc_pid_mountinfo(5).

Whether a file of this host is a disk of its kernel just now.

Whether the disks of this host have room for what is about to be written, all that goes onto one counted together.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import PlanError, StalkerError
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable


SECTOR = 512
"""What sysfs counts in, whatever the device's own sectors are."""

NO_DISKS = {
    "dm-": "it is made of other devices by the device mapper (LVM, encryption)",
    "md": "it is an array of other devices (RAID)",
    "zram": "it is memory",
    "ram": "it is memory",
    "sr": "it is a drive for discs",
    "fd": "it is a drive for floppy disks",
    "nbd": "it is a disk of another machine",
    "mtdblock": "it is flash memory of the board",
}
"""Beginnings of names, and what such a device is."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition that is on a device now."""

    name: str
    start_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Device:
    """A whole disk: what it is, and who uses it.

    `users` says in words what of it is in use. `is_fixed` is True for what is built into the machine: a
    card or stick can be taken out.
    """

    path: str
    name: str
    number: tuple[int, int]
    size_bytes: int
    model: str
    kind: str
    is_fixed: bool
    is_read_only: bool
    zeroes_fast: bool
    parts: tuple[Part, ...] = ()
    users: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a person knows it by: path, model, size, kind."""
        return ", ".join(
            part for part in (self.path, self.model, size_text(self.size_bytes), self.kind) if part
        )


def see_device(path: str, sys: str = "/sys", proc: str = "/proc") -> Device:
    """Look at a device; changes nothing.

    Raises:
        PlanError: there is no such device, or it is not a disk.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}", "", "lsblk lists the disks of this machine") from error
    if not stat.S_ISBLK(found.st_mode):
        what = (
            "a folder"
            if stat.S_ISDIR(found.st_mode)
            else "a file"
            if stat.S_ISREG(found.st_mode)
            else "no disk"
        )
        resolution = "lsblk lists the disks of this machine"
        if stat.S_ISREG(found.st_mode):
            resolution += "; a plain image is made by zstd -d or cp, a disk of a file by losetup and --fixed"
        raise PlanError(f"{path} is not a block device", f"it is {what}", resolution)
    number = os.major(found.st_rdev), os.minor(found.st_rdev)
    folder = Path(sys, "dev/block", f"{number[0]}:{number[1]}").resolve()
    if (folder / "partition").exists():
        raise PlanError(
            f"{path} is a partition of {folder.parent.name}",
            "an image has a partition table of its own and goes to the whole disk",
            f"name the disk: /dev/{folder.parent.name}",
        )
    name = folder.name
    why = next((text for start, text in NO_DISKS.items() if name.startswith(start)), "")
    if why:
        raise PlanError(
            f"{path} is not a disk that images are written to", why, "lsblk lists the disks of this machine"
        )
    kind, is_fixed = _kind(folder, name)
    parts = tuple(
        Part(one.name, _number(one / "start") * SECTOR, _number(one / "size") * SECTOR)
        for one in sorted(folder.iterdir(), key=lambda one: _number(one / "partition"))
        if (one / "partition").exists()
    )
    return Device(
        path=path,
        name=name,
        number=number,
        size_bytes=_number(folder / "size") * SECTOR,
        model=_model(folder, name),
        kind=kind,
        is_fixed=is_fixed,
        is_read_only=_number(folder / "ro") == 1,
        zeroes_fast=_number(folder / "queue/write_zeroes_max_bytes") > 0,
        parts=parts,
        users=tuple(_users([folder, *(folder / part.name for part in parts)], proc)),
    )


def check_writable(device: Device, needed_bytes: int | None, *, allow_fixed: bool) -> None:
    """Raise PlanError when an image of so many bytes may not be written to a device; None: not known yet."""
    if device.users:
        raise PlanError(
            f"{device.path} is in use",
            "\n".join(device.users),
            "see that nothing uses it: umount, swapoff, then again",
        )
    if device.is_read_only:
        raise PlanError(
            f"{device.path} is read-only", device.title, "move the lock of the card, or take another one"
        )
    if not device.size_bytes:
        raise PlanError(f"{device.path} is empty", "no card is in the reader", "put one in")
    if needed_bytes is not None and needed_bytes > device.size_bytes:
        raise PlanError(
            f"{device.path} is too small",
            f"the image has {needed_bytes} bytes, the device {device.size_bytes}",
            "take a larger one, or make the image smaller: `size` of its disk in the tree",
        )
    if device.is_fixed and not allow_fixed:
        raise PlanError(
            f"{device.path} is a fixed disk",
            f"{device.title}: it cannot be taken out, so it is not a card or stick",
            "look again at lsblk; if it is meant: --fixed",
        )


def _kind(folder: Path, name: str) -> tuple[str, bool]:
    """Return what a disk is, and whether it is built in."""
    if name.startswith("loop"):
        return "loop device", True
    bus = folder.as_posix()
    if name.startswith("mmcblk"):
        is_card = _text(folder / "device/type") == "SD"
        return ("SD card", False) if is_card else ("built-in flash memory", True)
    if "/usb" in bus:
        return "USB", False
    if _number(folder / "removable") == 1:
        return "removable", False
    return "fixed disk", True


def _model(folder: Path, name: str) -> str:
    if name.startswith("loop"):
        file = _text(folder / "loop/backing_file")
        return f"of {file}" if file else ""
    words = [_text(folder / "device" / part) for part in ("vendor", "model", "name")]
    return " ".join(word for word in words if word and not word.startswith("0x"))


def _users(all_of_it: list[Path], proc: str) -> list[str]:
    """Say in words what of a disk is in use: mounted, swapped to, part of another device."""
    numbers = {_text(one / "dev"): one.name for one in all_of_it}
    found = []
    for one in all_of_it:
        holders = one / "holders"
        for holder in sorted(holders.iterdir()) if holders.is_dir() else ():
            made_of = _text(holder / "dm/name") or holder.name
            found.append(f"{one.name} is part of {made_of} (LVM, RAID or encryption)")
    for device, point in _mounts(Path(proc, "self/mountinfo")):
        if device in numbers:
            found.append(f"{numbers[device]} is mounted on {point}")
    swaps = _swaps(Path(proc, "swaps"))
    found += [f"{numbers[device]} is swap" for device in swaps if device in numbers]
    return list(dict.fromkeys(found))


def _mounts(file: Path) -> list[tuple[str, str]]:
    """Return (major:minor, mount point) of what is mounted; by the source too, for btrfs has numbers of its own."""
    found = []
    for line in _text(file).splitlines():
        head, _, tail = line.partition(" - ")
        fields, behind = head.split(), tail.split()
        if len(fields) < 5:
            continue
        point = fields[4].encode().decode("unicode_escape")
        found.append((fields[2], point))
        if len(behind) > 1 and behind[1].startswith("/dev/"):
            found.append((_device_number(behind[1]), point))
    return found


def _swaps(file: Path) -> list[str]:
    return [_device_number(line.split()[0]) for line in _text(file).splitlines()[1:] if line.strip()]


def _device_number(path: str) -> str:
    try:
        found = Path(path.encode().decode("unicode_escape")).stat()
    except OSError:
        return ""
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if stat.S_ISBLK(found.st_mode) else ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    text = _text(file)
    return int(text) if text.isdigit() else 0


LOOPS = "/sys/block"


def refuse_used(descriptor: int) -> None:
    """Raise StalkerError when a loop device of this host has an image: it may be mounted."""
    ours = os.fstat(descriptor)
    for file in Path(LOOPS).glob("loop*/loop/backing_file"):
        try:
            other = Path(file.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")).stat()
        except OSError:  # it has gone meanwhile, or is seen by another name in its container
            continue
        if (other.st_dev, other.st_ino) == (ours.st_dev, ours.st_ino):
            name = file.parts[-3]
            raise StalkerError(
                f"the image is in use by /dev/{name}",
                "it may be mounted, and would be changed from two sides",
                f"unmount it, then: losetup -d /dev/{name}",
            )


SPARE_BYTES = 16 << 20
"""Space that is left free: a disk that is full to the last byte breaks programs."""


def needed_on_volumes(needs: Iterable[tuple[Path, int]]) -> list[str]:
    """Return what is wrong, a line for each disk without the room; (directory or file, bytes) are what is to be written.

    A path that is not there yet counts on the disk where it will be made. Nothing is written.
    """
    by_device: dict[int, list[tuple[Path, int]]] = {}
    for path, count in needs:
        there = _above(path)
        by_device.setdefault(there.stat().st_dev, []).append((path, count))
    problems = []
    for parts in by_device.values():
        free = os.statvfs(_above(parts[0][0]))
        free_bytes = free.f_bavail * free.f_frsize
        need = sum(count for _, count in parts)
        if need and need + SPARE_BYTES > free_bytes:
            what = ", ".join(f"{path} {size_text(count)}" for path, count in parts if count)
            problems.append(
                f"{size_text(need)} are to be written where {size_text(free_bytes)} are free: {what}"
            )
    return problems


def _above(path: Path) -> Path:
    """Return the nearest of a path and what it is in that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
