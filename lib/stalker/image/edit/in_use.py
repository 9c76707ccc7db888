"""Whether a file of this host is a disk of its kernel just now."""

from __future__ import annotations

import os
from pathlib import Path

from stalker.errors import StalkerError

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
