"""Whether the disks of this host have room for what is about to be written, all that goes onto one counted together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SPARE_BYTES = 16 << 20
"""What is left free besides: nobody works well on a disk that is full to the last byte."""


def needed_on_volumes(needs: Iterable[tuple[Path, int]]) -> list[str]:
    """Return what is wrong, a line for each disk without the room; (folder or file, bytes) are what is to be written.

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
