"""Checksums of published files: computed once, trusted until the file changes.

A disk image has gigabytes, and a run with nothing to do has a tenth of a second. So what `stat` returned
of a file when its checksum was computed is noted in the user's cache; a file of which it tells the same
is taken for unchanged, any other one is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from stalker.config.tree.evidence import stat_of
from stalker.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from stalker.disk.manifest import PublishedFile

CHUNK_BYTES = 1 << 20
SETTLED_NS = 50_000_000
"""A file that was changed more recently could change again within the same tick of its file system's clock."""


def sha256_of(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Return the SHA-256 (hex) of a file; `on_bytes` receives how many were read. Raises OSError."""
    state = hashlib.sha256()
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            state.update(view[:count])
            on_bytes(count)
    return state.hexdigest()


def checksum_lines(files: Iterable[PublishedFile]) -> str:
    r"""Return the text of a `.sha256`, as sha256sum writes and checks it: also names with a line feed."""
    lines = []
    for file in files:
        escaped = file.name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != file.name else ""
        lines.append(f"{mark}{file.sha256}  {escaped}\n")
    return "".join(lines)


class Evidence:
    """What is known of the files of one directory; whole only with `save`."""

    def __init__(self, cache: Path, folder: Path) -> None:
        """Take the directory of the user's cache, and the one that the files are in."""
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()
        self._path = cache / "artifacts" / f"{name}.json"
        self._folder = folder
        self._known: dict[str, Any] = {}
        self._is_changed = False
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._path.read_bytes())
            if isinstance(found, dict) and self._path.stat().st_uid == os.getuid():
                self._known = found

    def is_known(self, file: PublishedFile) -> bool:
        """Return whether a file is as it was when its checksum was found to be right."""
        seen = stat_of(str(self._folder / file.name))
        return bool(seen) and self._known.get(file.name) == [list(seen), file.sha256]

    def note(self, file: PublishedFile) -> None:
        """Note that a file's checksum is right now; not if it was changed a moment ago."""
        seen = stat_of(str(self._folder / file.name))
        if seen and time.time_ns() - max(seen[2:4]) > SETTLED_NS:
            self._known[file.name] = [list(seen), file.sha256]
            self._is_changed = True

    def save(self) -> None:
        """Keep what is known; that it cannot be kept costs time and nothing else."""
        if not self._is_changed:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._path, json.dumps(self._known), durable=False)
        self._is_changed = False

    def forget(self) -> None:
        """Remove what is known of a directory that is gone."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
