"""The types that a partition table gives its partitions: two hexadecimal digits in an MBR, a GUID in a GPT."""

from __future__ import annotations

PROTECTIVE = "ee"
EXTENDED = frozenset({"05", "0f", "85"})

MBR_TYPES = {"vfat": "0c", "ext4": "83", "squashfs": "83", "swap": "82", "": "da"}
"""What fits a file system; `0c` is a FAT32 that is found by sectors, `da` data of no file system."""

LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
GPT_TYPES = {
    "vfat": "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    "ext4": LINUX_DATA,
    "squashfs": LINUX_DATA,
    "swap": "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f",
    "": LINUX_DATA,
}
"""Basic data, Linux file system, Linux swap."""

GPT_ROOTS = frozenset(
    {
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        "44479540-f297-41b2-9af7-d131d5f0458a",
        "69dad710-2ce4-4e3c-b16c-21a1d49abed3",
        "b921b045-1df0-41c3-af44-4c6f280d3fae",
        "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
    }
)
"""Root partitions of amd64, i386, arm, arm64 and riscv64 (UAPI.2, discoverable partitions specification)."""

EFI_SYSTEM = {"mbr": "ef", "gpt": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"}
"""The type of the partition that UEFI starts programs from (UEFI 2.10, 5.2.2 and 5.3.3)."""
