"""Loop devices: real block devices made of files, for tests that write to a card."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from engines import has_to_be_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def needs_loops() -> None:
    """Skip where nobody may make loop devices; where we are root they have to be there."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    if subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode:
        has_to_be_there("no loop device is free")


@contextlib.contextmanager
def loop_device(file: Path, *options: str) -> Iterator[str]:
    """Give the path of a loop device over a file; it goes at the end."""
    needs_loops()
    argv = ["losetup", "--find", "--show", *options, str(file)]
    device = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def blank(path: Path, size_bytes: int, content: bytes = b"") -> Path:
    """Make a file of a size, full of `content` over and over."""
    piece = content * ((1 << 16) // max(len(content), 1) + 1)
    with path.open("wb") as file:
        while content and file.tell() < size_bytes:
            file.write(piece)
        file.truncate(size_bytes)
    return path
