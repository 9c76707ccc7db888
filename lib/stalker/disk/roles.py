"""The parts that the partitions of an image have: boot, root, data. By what they hold, not by where they lie. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import PlanError
from stalker.formats.partition_table.partition_types import GPT_ROOTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.disk.inspect import PartitionFacts

EXT = frozenset({"ext2", "ext3", "ext4"})
READ = EXT | {"squashfs"}
UNREAD = frozenset({"btrfs", "f2fs", "xfs", "luks", "lvm"})
"""Can hold a system, and are not read here."""

DATA_NUMBER = 3
ROLES = ("boot", "root", "data")
_SYSTEM = frozenset({"bin", "sbin", "usr"})
_BOOT = (
    "vmlinuz",
    "kernel",
    "zImage",
    "Image",
    "uImage",
    "initrd",
    "initramfs",
    "config-",
    "System.map",
    "dtb",
)
_BOOT_NAMES = frozenset({"grub", "grub2", "loader", "extlinux", "efi", "EFI", "boot.scr", "cmdline.txt"})


@dataclass(frozen=True, slots=True)
class Roles:
    """The partitions by their part, None for one that does not exist.

    `why_no_root` is why no partition is taken as the root though one may be it, empty otherwise.
    """

    boot: PartitionFacts | None
    root: PartitionFacts | None
    data: PartitionFacts | None
    why_no_root: str = ""


def roles_of(partitions: Sequence[PartitionFacts], data_label: str = "", root_number: int = 0) -> Roles:
    """Return the parts of the partitions of an image.

    Root is partition `root_number`, or the one with a system in it, where there are several that of a GPT root
    type. Without a system it is that of a root type, else the first file system of Linux after the first FAT that
    is neither a `/boot` nor the data; nothing is guessed where a file system that is not read here may be the root.
    Boot is the first FAT, without one a `/boot`. Data is an ext4 that lies last and is none of these, when it has
    number 3 or the label of a data partition; it never holds a system.

    Raises:
        PlanError: there is no partition `root_number`.
    """
    in_order = sorted(partitions, key=lambda one: one.start_bytes)
    fat = next((one for one in in_order if one.filesystem.kind.startswith("fat")), None)
    data = _data(in_order, data_label)
    root, why = _root(in_order, fat, data, root_number)
    if data is root:
        data = None
    boot = fat or next((one for one in in_order if one is not root and _is_boot(one)), None)
    return Roles(boot, root, data, why)


def holds_system(one: PartitionFacts) -> bool:
    """Return whether a file system has the top directories of a Linux system."""
    top = frozenset(one.filesystem.top or ())
    return "etc" in top and bool(top & _SYSTEM)


def _is_boot(one: PartitionFacts) -> bool:
    """Return whether a file system of Linux is a separate `/boot`."""
    top = frozenset(one.filesystem.top or ())
    is_named = bool(top & _BOOT_NAMES) or any(name.startswith(_BOOT) for name in top)
    return is_named and not holds_system(one)


def _root(
    in_order: Sequence[PartitionFacts], fat: PartitionFacts | None, data: PartitionFacts | None, number: int
) -> tuple[PartitionFacts | None, str]:
    if number:
        return _numbered(in_order, number), ""
    systems = [one for one in in_order if holds_system(one)]
    typed = [one for one in systems or in_order if one.entry.type.lower() in GPT_ROOTS]
    unread = [one for one in typed or in_order if one.filesystem.kind in UNREAD]
    if len(systems) == 1:
        return systems[0], ""
    if len(typed) == 1 and not unread:
        return typed[0], ""
    if systems:
        return None, f"{_list(systems)} each hold a system"
    if unread:
        kinds = ", ".join(f"partition {one.entry.number} holds {one.filesystem.kind}" for one in unread)
        return None, f"{kinds}, which is not read here and may be the root"
    rest = [one for one in in_order if one.filesystem.kind in READ and one is not data and not _is_boot(one)]
    after = [one for one in rest if fat is not None and one.start_bytes > fat.start_bytes]
    alone = [data] if data is not None and not any(map(_is_boot, in_order)) else []
    return next(iter(after or rest or alone), None), ""


def _numbered(in_order: Sequence[PartitionFacts], number: int) -> PartitionFacts:
    for one in in_order:
        if one.entry.number == number:
            return one
    known = ", ".join(str(one.entry.number) for one in in_order)
    raise PlanError(f"root: the image has no partition {number}", f"it has: {known}", "name one of them")


def _data(in_order: Sequence[PartitionFacts], label: str) -> PartitionFacts | None:
    last = in_order[-1] if in_order else None
    if last is None or last.filesystem.kind != "ext4" or holds_system(last) or _is_boot(last):
        return None
    is_data = last.entry.number == DATA_NUMBER or (label and last.filesystem.label == label)
    return last if is_data and last.entry.type.lower() not in GPT_ROOTS else None


def _list(partitions: Sequence[PartitionFacts]) -> str:
    return "partitions " + " and ".join(str(one.entry.number) for one in partitions)


def by_name(partitions: Sequence[PartitionFacts], roles: Roles) -> dict[str, PartitionFacts]:
    """Return partitions by role (`boot`, `root`, `data`), number, and `PARTLABEL=name` where one alone has the name."""
    named = {"boot": roles.boot, "root": roles.root, "data": roles.data}
    numbered = {str(one.entry.number): one for one in partitions}
    names = Counter(one.entry.name for one in partitions if one.entry.name)
    labelled = {f"PARTLABEL={one.entry.name}": one for one in partitions if names[one.entry.name] == 1}
    return {name: one for name, one in named.items() if one is not None} | numbered | labelled
