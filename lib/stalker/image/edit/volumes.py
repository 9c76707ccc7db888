"""Free space, added up for each file system that something comes to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SPARE_BYTES = 16 << 20
"""What is to be left for others."""


def needed_on_volumes(needs: Iterable[tuple[Path, int]]) -> list[str]:
    """Return in words on which file systems there is not enough room; `needs` are folders and bytes.

    Folders that are not there yet count where they will be made.
    """
    sums: dict[int, tuple[Path, int]] = {}
    for folder, size_bytes in needs:
        place = next(one for one in (folder, *folder.parents) if one.exists())
        device = place.stat().st_dev
        first, before = sums.get(device, (folder, 0))
        sums[device] = (first, before + size_bytes)
    problems = []
    for folder, size_bytes in sums.values():
        found = os.statvfs(next(one for one in (folder, *folder.parents) if one.exists()))
        free = found.f_bavail * found.f_frsize
        if size_bytes and size_bytes + SPARE_BYTES > free:
            problems.append(f"{folder} has {size_text(free)} free, {size_text(size_bytes)} are needed there")
    return problems
