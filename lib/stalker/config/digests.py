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
from typing import TYPE_CHECKING

from stalker.config.evidence import content_digest, names_digest

if TYPE_CHECKING:
    from collections.abc import Callable


def digest_directory(path: str, *, on_entry: Callable[[str, str, str], None] | None = None) -> str:
    """Return the SHA-256 (hex) over all entries below a folder, sorted by path, framed by length.

    Links are not followed, contents are read in pieces. `on_entry` is told what was seen of each
    folder and file: its absolute path, `names` or `content`, and the digest of that. Cost: one read
    of everything below.

    Raises:
        OSError: something below cannot be read.
    """
    state = hashlib.sha256()
    pending = [""]
    while pending:
        inside = pending.pop()
        folder = os.path.join(path, inside) if inside else path
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        if on_entry is not None:
            on_entry(folder, "names", names_digest([entry.name for entry in entries]))
        folders: list[str] = []
        for entry in entries:
            name = os.path.join(inside, entry.name)
            kind, value = _entry(entry, on_entry)
            for text in (name, kind, value):
                data = os.fsencode(text)
                state.update(b"%d:" % len(data))
                state.update(data)
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
        pending.extend(reversed(folders))
    return state.hexdigest()


def _entry(entry: os.DirEntry[str], on_entry: Callable[[str, str, str], None] | None) -> tuple[str, str]:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat_bits.S_ISLNK(mode):
        return "link", os.readlink(entry.path)
    kind = f"{mode:06o}"
    if not stat_bits.S_ISREG(mode):
        return kind, ""
    content = content_digest(entry.path)
    if on_entry is not None:
        on_entry(entry.path, "content", content)
    return kind, content
