"""A read tree kept for the next run, as long as a reading would see the same files.

Kept is the pickled Tree with what the reading saw of every file and directory (`evidence.py`). A file
that is broken or not ours, another version of stalker or Python, a directory that cannot be written:
then the tree is read again. No Tree holds a secret, so no cache does.
"""

# os.path is several times faster than pathlib, which a warm start does without.
# ruff: noqa: PTH100, PTH116, PTH118, PTH208, S301

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import time
from typing import TYPE_CHECKING

import stalker
from stalker.config.locate import find_file, find_tree
from stalker.config.tree.evidence import code_state, is_same, sign
from stalker.io.atomic import write_file
from stalker.io.user_dirs import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.config.tree.evidence import Sight
    from stalker.model.tree import Tree

KEPT_MAX = 200
"""More trees than this are not kept; the oldest go first."""

_MAGIC = b"stalker tree 3\n"


def read_tree_cached(
    path: str,
    workspace: str,
    overrides: Mapping[str, str] | None = None,
    with_files: Sequence[str] = (),
    *,
    cache: str = "",
) -> Tree:
    """Read a tree as `read_tree` does, from the cache where nothing has changed.

    `cache` is the directory of the cache, by default `$XDG_CACHE_HOME/stalker/trees`. Cost of a warm
    read: one or two system calls for each file and directory that the tree depends on.

    Raises:
        FilesError: all problems of all files; such a tree is never kept.
    """
    found = find_tree(path, workspace)
    folder = cache or _default_directory()
    kept_at = os.path.join(folder, _key(found, workspace, overrides or {}, with_files))
    kept = _load(kept_at) if found else None
    if kept is not None:
        return kept

    from stalker.config.tree.load import checked, load_tree  # a warm start does without the readers

    began_ns = time.time_ns()
    reading = load_tree(path, workspace, overrides or {}, with_files)
    tree = checked(reading)
    with contextlib.suppress(OSError):
        _keep(kept_at, pickle.dumps((sign(reading.workspace.seen, began_ns), tree), protocol=5))
    return tree


def kept_evidence(
    path: str, workspace: str, overrides: Mapping[str, str] | None = None, *, cache: str = ""
) -> dict[str, Sight]:
    """Return what the reading of a kept tree saw; empty when the tree is not kept or has changed."""
    found = find_tree(path, workspace)
    kept_at = os.path.join(cache or _default_directory(), _key(found, workspace, overrides or {}))
    return _load_signed(kept_at)[0] if found else {}


def _default_directory() -> str:
    return os.path.join(cache_dir(), "trees")


def _key(found: str, workspace: str, overrides: Mapping[str, str], with_files: Sequence[str] = ()) -> str:
    fields = [
        found,
        os.path.abspath(workspace),
        stalker.__version__,
        sys.version,
        str(code_state()),
        str(len(with_files)),
        *(find_file(path, workspace) or path for path in with_files),
        *(text for name in sorted(overrides) for text in (name, overrides[name])),
    ]
    framed = b"".join(b"%d:%s" % (len(data), data) for data in map(os.fsencode, fields))
    return hashlib.sha256(framed).hexdigest()


def _load(kept_at: str) -> Tree | None:
    """Return a kept tree that still holds, None in any other case."""
    return _load_signed(kept_at)[1]


def _load_signed(kept_at: str) -> tuple[dict[str, Sight], Tree | None]:
    nothing: tuple[dict[str, Sight], None] = ({}, None)
    try:
        with open(kept_at, "rb") as stream:  # noqa: PTH123
            owner = os.fstat(stream.fileno())
            if owner.st_uid != os.getuid() or owner.st_mode & 0o022:
                return nothing
            data = stream.read()
    except OSError:
        return nothing
    head = len(_MAGIC) + 32
    payload = memoryview(data)[head:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(payload).digest() != data[len(_MAGIC) : head]:
        return nothing
    try:
        signed, tree = pickle.loads(payload)
        return (signed, tree) if is_same(signed) else nothing
    except Exception:  # noqa: BLE001 - whatever is wrong with a cache, the files themselves are read
        return nothing


def _keep(kept_at: str, payload: bytes) -> None:
    """Write a cache file whole or not at all. Raises OSError."""
    folder = os.path.dirname(kept_at)  # noqa: PTH120
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    write_file(kept_at, _MAGIC + hashlib.sha256(payload).digest() + payload, mode=0o600, durable=False)
    _thin_out(folder)


def _thin_out(folder: str) -> None:
    names = os.listdir(folder)
    if len(names) <= KEPT_MAX:
        return
    ages: list[tuple[float, str]] = []
    for name in names:
        with contextlib.suppress(OSError):
            ages.append((os.stat(os.path.join(folder, name)).st_mtime, name))
    for _, name in sorted(ages)[: len(names) - KEPT_MAX]:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))  # noqa: PTH108
