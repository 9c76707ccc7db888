"""What a partition table takes of a disk: sectors, the places at both ends, and the least that a disk must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.io.disk_sizes import MIB, aligned

if TYPE_CHECKING:
    from collections.abc import Iterable

SECTOR_BYTES = 512

SMALLEST_PARTITION_BYTES = MIB
MBR_MAX_BYTES = SECTOR_BYTES << 32
"""Sectors have 32 bits in an MBR."""

GPT_HEAD_BYTES = 34 * SECTOR_BYTES
GPT_TAIL_BYTES = 33 * SECTOR_BYTES
"""What a GPT of 128 entries takes at both ends of a disk (UEFI 2.10, 5.3)."""


def table_head_bytes(table: str) -> int:
    """Return how much of the beginning of a disk its table takes."""
    return GPT_HEAD_BYTES if table == "gpt" else SECTOR_BYTES


def table_tail_bytes(table: str) -> int:
    """Return how much of the end of a disk its table takes."""
    return GPT_TAIL_BYTES if table == "gpt" else 0


def least_bytes(table: str, sizes_bytes: Iterable[int | None], align_bytes: int) -> int:
    """Return the least that a disk with these partitions needs.

    A partition of unknown size (None) counts with the smallest one there is.
    """
    end = table_head_bytes(table)
    for size in sizes_bytes:
        end = aligned(end, align_bytes) + (SMALLEST_PARTITION_BYTES if size is None else size)
    return aligned(end + table_tail_bytes(table), SECTOR_BYTES)
