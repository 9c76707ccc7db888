"""What an engine's containers stand on, seen from this host: kernel, emulators, the numbers of its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.binfmt import read_emulators
from stalker.engine.elf import try_to_run
from stalker.engine.foreign import Ground
from stalker.engine.profile import loses_variants

if TYPE_CHECKING:
    from stalker.engine.interface import EngineInfo

STORES = (
    "",
    "overlay2",
    "image/overlay2/layerdb/sha256",
    "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots",
)
"""Folders of an engine's data root that hold a folder a layer."""

XFS_WIDE_BYTES = 2 << 40
"""An XFS this large numbers its files past 2^32: the number is the place, in units of 512 bytes."""

TWO_GIGA = 1 << 31


def see_ground(info: EngineInfo) -> Ground:
    """Look at what an engine stands on; changes nothing.

    An engine on a socket of this host may still be in a machine of its own, as that of Docker Desktop:
    then it names another kernel.
    """
    own = os.uname()
    is_near = info.address.startswith("unix://") and info.kernel in {"", own.release}
    is_near = is_near and info.architecture == own.machine
    loses = loses_variants(info)
    if not is_near:
        return Ground(info.architecture, loses_variants=loses)
    return Ground(
        info.architecture,
        read_emulators(),
        try_to_run,
        info.root_dir,
        largest_inode(info.root_dir),
        may_number_past_four_bytes(info.root_dir),
        has_wide_offsets(info.root_dir),
        loses_variants=loses,
    )


def largest_inode(root_dir: str) -> int | None:
    """Return the largest number of a file in the top folders of an engine's store, None when unseen."""
    found: list[int] = []
    for store in STORES:
        try:
            with os.scandir(Path(root_dir) / store) as entries:
                found += [entry.inode() for entry in entries]
        except OSError:
            continue
    return max(found, default=None)


def may_number_past_four_bytes(root_dir: str, mounts: str = "/proc/self/mountinfo") -> bool:
    """Say whether the file system that holds a folder is an XFS too large for numbers of four bytes."""
    try:
        held = os.statvfs(root_dir)
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind, options = "", "", ""
    for line in lines:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and os.path.commonpath([point, root_dir]) == point:
            best, (kind, _, options) = point, tail.split(" ", 2)
    return kind == "xfs" and "inode32" not in options and held.f_frsize * held.f_blocks > XFS_WIDE_BYTES


def has_wide_offsets(folder: str) -> bool:
    """Say whether a position in a folder, as the kernel gives it, needs more than 31 bits."""
    import ctypes  # Python itself tells no positions

    libc = ctypes.CDLL(None)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    opened = ctypes.c_void_p(libc.opendir(os.fsencode(folder)))
    if not opened:
        return False
    try:
        while libc.readdir(opened):
            if libc.telldir(opened) >= TWO_GIGA:
                return True
        return False
    finally:
        libc.closedir(opened)
