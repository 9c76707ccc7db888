"""What a reading saw of each file and directory, and whether it would see the same again.

Of a file it saw the content, of a directory the names in it, of a link its target, of others only their
kind. What `stat` reports, asked before the reading, is the evidence that content and names are the same,
except for what changed so shortly before the reading that a second change could look the same: that is
looked at again.
"""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH100, PTH115, PTH116, PTH120, PTH123, PTH208

from __future__ import annotations

import hashlib
import os
import stat as stat_bits

import stalker

YOUNG_NS = 2_000_000_000
"""File systems tick as slowly as once in two seconds (FAT)."""

_CHUNK_BYTES = 1024 * 1024


Sight = tuple[str, str, tuple[int, ...], bool]
"""What was seen of a path: `kind`, `names`, `content`, `link`, `node` or `real`; its value; what stat reported,
empty for a kind and for where links lead; whether it was young. A plain tuple: the run with nothing to do has
no time to import `typing`."""

OF_ITSELF = ("link", "node")
"""Of these the entry itself is looked at, not what a link leads to."""


def kind_of(path: str) -> str:
    """Return `file`, `directory`, `other`, or empty when nothing is there; links are followed."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    if stat_bits.S_ISREG(mode):
        return "file"
    return "directory" if stat_bits.S_ISDIR(mode) else "other"


def names_digest(names: list[str]) -> str:
    """Return a digest of the sorted names in a directory."""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def content_digest(path: str) -> str:
    """Return the SHA-256 (hex) of a file, read in pieces. Raises OSError."""
    state = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def sign(seen: dict[str, tuple[str, str, tuple[int, ...]]], began_ns: int) -> dict[str, Sight]:
    """Mark what of that which was seen is young; `seen` has for each path what, value, and `stat_of` before.

    `began_ns` is when the reading began (Unix time). What changed since then, or shortly before, is
    young: its value, seen by the reading itself, is compared again by `is_same`.
    """
    return {
        path: (what, value, stat, bool(stat) and max(stat[2:4]) > began_ns - YOUNG_NS)
        for path, (what, value, stat) in seen.items()
    }


def is_same(signed: dict[str, Sight]) -> bool:
    """Return whether a reading would see the same; costs one or two system calls a path."""
    try:
        return all(_is_same(path, sight) for path, sight in signed.items())
    except OSError:
        return False


def _is_same(path: str, sight: Sight) -> bool:
    what, value, stat, is_young = sight
    if what == "kind":
        return kind_of(path) == value
    if what == "real":
        return os.path.realpath(path) == value
    if what in OF_ITSELF:
        # A link has no content that could change under an equal `lstat`, but a young one may be made again.
        return lstat_of(path) == stat and (what == "node" or os.readlink(path) == value)
    if stat_of(path) != stat:
        return False
    if not is_young:
        return True
    if what == "names":
        return names_digest(sorted(os.listdir(path))) == value
    return content_digest(path) == value


def stat_of(path: str) -> tuple[int, ...]:
    """Return what tells one state of a file from another; empty when it is not there."""
    try:
        return state_of(os.stat(path))
    except (OSError, ValueError):
        return ()


def lstat_of(path: str) -> tuple[int, ...]:
    """Return what tells one state of an entry from another, a link's own; empty when it is not there."""
    try:
        return state_of(os.lstat(path))
    except (OSError, ValueError):
        return ()


def state_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what of a `stat` tells one state of a file from another."""
    return (
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        found.st_uid,
        found.st_gid,
    )


def code_state() -> int:
    """Return a number that changes with the code of this package: a checkout changes without a new version.

    It is the newest time of its modules, in nanoseconds.
    """
    folders = [os.path.dirname(os.path.abspath(stalker.__file__))]
    newest = 0
    for folder in folders:
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.endswith(".py"):
                    newest = max(newest, entry.stat().st_mtime_ns)
                elif entry.is_dir() and entry.name != "__pycache__":
                    folders.append(entry.path)
    return newest
