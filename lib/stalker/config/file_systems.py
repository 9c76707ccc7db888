"""What file systems and partition tables allow: labels, UUIDs, types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.model.artifacts import FileSystem

LABEL_MAX = {"vfat": 11, "ext4": 16, "swap": 15}
"""Bytes of a label: FAT's directory entry; ext4's superblock; swap's header, less the NUL that mkswap wants."""

EFI_SYSTEM = {"mbr": "ef", "gpt": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"}
"""The type of the partition that UEFI starts programs from (UEFI 2.10, 5.2.2 and 5.3.3)."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_SERIAL = re.compile(r"[0-9A-F]{4}-?[0-9A-F]{4}\Z")
_MBR_TYPE = re.compile(r"[0-9a-f]{2}\Z")
_NOT_IN_FAT = re.compile(r"[\"*+,./:;<=>?\[\\\]|\x00-\x1f]")
_EXTENDED = frozenset({"05", "0f", "85"})


def label_problem(text: str, filesystem: FileSystem) -> tuple[str, str]:
    """Return what is wrong with a label and what to do; both empty where nothing is."""
    if filesystem not in LABEL_MAX:
        return f"{filesystem or 'a partition without a file system'} has no label", "leave it out"
    limit = LABEL_MAX[filesystem]
    if not text or len(text.encode()) > limit:
        return (
            f"the label '{text}' has {len(text.encode())} characters; {filesystem} has room for 1 to {limit}",
            "",
        )
    if filesystem == "vfat":
        if not text.isascii() or _NOT_IN_FAT.search(text) or text != text.strip():
            return f"'{text}' is no label of a FAT", "A-Z, 0-9, _ and -, with blanks between them"
        if text != text.upper():
            return (
                f"the label '{text}' has small letters, which not every system finds on a FAT",
                f"write {text.upper()}",
            )
    if not text.isprintable():
        return f"the label {text!r} holds what no terminal can show", ""
    return "", ""


def uuid_of(text: str, filesystem: FileSystem = "") -> str:
    """Return the UUID of a file system, a disk or a partition; of a FAT its serial number, `1A2B-3C4D`.

    Raises:
        ValueError: it has not the form; the text says which.
    """
    if filesystem == "vfat":
        serial = text.upper()
        if not _SERIAL.match(serial) or int(serial.replace("-", ""), 16) == 0:
            raise ValueError(f"'{text}' is no serial number of a FAT: 1A2B-3C4D, eight digits of 0-9A-F")
        return f"{serial[:4]}-{serial[-4:]}"
    lower = text.lower()
    if not _UUID.match(lower) or not int(lower.replace("-", ""), 16):
        raise ValueError(f"'{text}' is no UUID: 8-4-4-4-12 digits of 0-9a-f, as uuidgen prints them")
    return lower


def type_of(text: str, table: str) -> str:
    """Return a partition's type as its table has it: `0c`, or a GUID; `esp` is the EFI system partition.

    Raises:
        ValueError: it has not the form, or is none of a partition with data; the text says so.
    """
    lower = text.lower()
    if lower == "esp":
        return EFI_SYSTEM[table]
    if table == "gpt":
        if not _UUID.match(lower):
            raise ValueError(f"'{text}' is no type of a GPT, which is a GUID; leave it out for the usual one")
        return lower
    lower = lower.removeprefix("0x")
    if not _MBR_TYPE.match(lower):
        raise ValueError(f"'{text}' is no type of an MBR: two digits of 0-9a-f, like \"0c\"")
    if lower in _EXTENDED:
        raise ValueError(
            f"'{text}' is an extended partition, which is not made; more than four need table: gpt"
        )
    if lower in {"00", "ee"}:
        raise ValueError(f"'{text}' marks no partition; leave it out for the usual type")
    return lower
