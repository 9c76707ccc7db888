"""What of a Dockerfile's directory is sent to the engine, and its digest."""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH115, PTH118

from __future__ import annotations

import contextlib
import hashlib
import os
import stat as stat_bits
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.tree.evidence import content_digest, names_digest, stat_of, state_of
from stalker.formats.dockerignore import IgnoreRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.config.digests import OnEntry

IGNORE_FILE = ".dockerignore"


class ContextDigest:
    """The digest of a context: kinds, permission bits, link targets and contents of what is sent, in order.

    All that is sent belongs to root, so owners do not count; nor do times.
    """

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def add(self, name: str, kind: str, mode: int, value: str) -> None:
        """Add an entry: `value` is the digest of a file, the target of a link, and empty for others."""
        for text in (name, f"{kind} {mode & 0o7777:04o}", value):
            data = os.fsencode(text)
            self._state.update(b"%d:" % len(data))
            self._state.update(data)

    def __str__(self) -> str:
        return self._state.hexdigest()


def context_digest(
    folder: str, dockerfile: str, *, on_entry: OnEntry = lambda _path, _what, _value, _state: None
) -> str:
    """Return the digest of what would be sent; `on_entry` as for `digest_directory`. Raises OSError."""
    for name in _ignore_files(dockerfile):
        path = os.path.join(folder, name)
        before = stat_of(path)
        with contextlib.suppress(OSError):
            on_entry(path, "content", content_digest(path), before)
    digest = ContextDigest()
    linked: dict[tuple[int, int], str] = {}
    for name, entry in sent_entries(folder, dockerfile, on_entry):
        found = entry.stat(follow_symlinks=False)
        kind, value = _kinds(found.st_mode), ""
        if kind == "link":
            value = os.readlink(entry.path)
            on_entry(entry.path, "link", value, state_of(found))
        elif kind == "file":
            value = content_digest(entry.path)
            on_entry(entry.path, "content", value, state_of(found))
            first = linked.setdefault((found.st_ino, found.st_dev), name)
            if found.st_nlink > 1 and first != name:
                kind, value = "hard link", first
        elif kind != "directory":
            on_entry(entry.path, "node", "", state_of(found))
        if kind:
            digest.add(name, kind, 0o777 if kind == "link" else found.st_mode, value)
    return str(digest)


def sent_entries(
    folder: str, dockerfile: str, on_entry: OnEntry | None = None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what of a directory is sent, sorted by name: all but what its .dockerignore leaves out."""
    yield from _walk(folder, "", _rules(folder, dockerfile), on_entry)


def _walk(
    folder: str, below: str, rules: IgnoreRules, on_entry: OnEntry | None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    path = os.path.join(folder, below)
    before = stat_of(path)
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    if on_entry is not None:
        on_entry(path.rstrip("/") or "/", "names", names_digest([entry.name for entry in found]), before)
    for entry in found:
        name = f"{below}/{entry.name}" if below else entry.name
        if not rules.is_ignored(name):
            yield name, entry
        if entry.is_dir(follow_symlinks=False) and not rules.is_closed(name):
            yield from _walk(folder, name, rules, on_entry)


def _rules(folder: str, dockerfile: str) -> IgnoreRules:
    for name in _ignore_files(dockerfile):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return IgnoreRules(Path(folder, name).read_text("utf-8", "replace"), (dockerfile, IGNORE_FILE))
    return IgnoreRules("")


def _ignore_files(dockerfile: str) -> tuple[str, str]:
    """Return where the rules may be; the first that is there counts."""
    return f"{dockerfile}{IGNORE_FILE}", IGNORE_FILE


def _kinds(mode: int) -> str:
    """Return what an entry is sent as; empty for a socket, which is not sent."""
    if stat_bits.S_ISLNK(mode):
        return "link"
    if stat_bits.S_ISREG(mode):
        return "file"
    if stat_bits.S_ISDIR(mode):
        return "directory"
    return "" if stat_bits.S_ISSOCK(mode) else "node"
