"""What a folder holds, as one digest.

Names, kinds, permission bits, link targets and contents count; owners and times do not, so that a
fresh clone has the digest of the old one.
"""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH115, PTH118

from __future__ import annotations

import hashlib
import os
import stat as stat_bits
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK_BYTES = 1024 * 1024


def digest_directory(path: str, *, on_entry: Callable[[str], None] | None = None) -> str:
    """Return the SHA-256 (hex) over all entries below a folder, sorted by path, framed by length.

    Links are not followed, contents are read in pieces. `on_entry` is told the absolute path of
    each folder and file. Cost: one read of everything below.

    Raises:
        OSError: something below cannot be read.
    """
    state = hashlib.sha256()
    pending = [b""]
    root = os.fsencode(path)
    while pending:
        inside = pending.pop()
        folder = os.path.join(root, inside)
        if on_entry is not None:
            on_entry(os.fsdecode(folder.rstrip(b"/")))
        folders: list[bytes] = []
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = os.path.join(inside, entry.name)
            _frame(state, name, *_entry(entry, on_entry))
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
        pending.extend(reversed(folders))
    return state.hexdigest()


def _entry(entry: os.DirEntry[bytes], on_entry: Callable[[str], None] | None) -> tuple[bytes, bytes]:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat_bits.S_ISLNK(mode):
        return b"link", os.readlink(entry.path)
    kind = b"%06o" % (stat_bits.S_IFMT(mode) | stat_bits.S_IMODE(mode))
    if not stat_bits.S_ISREG(mode):
        return kind, b""
    if on_entry is not None:
        on_entry(os.fsdecode(entry.path))
    content = hashlib.sha256()
    with Path(os.fsdecode(entry.path)).open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            content.update(chunk)
    return kind, content.digest()


def _frame(state: hashlib._Hash, *fields: bytes) -> None:
    for data in fields:
        state.update(b"%d:" % len(data))
        state.update(data)
