"""What a directory holds, as one digest, and the evidence that it still holds that.

Names, kinds, permission bits, link targets and contents count; times do not, so that a fresh clone has the
digest of the old one. Owners, and the directory's own permission bits, count where they arrive: in what is
mounted.
"""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118

from __future__ import annotations

import hashlib
import os
import stat as stat_bits
from typing import TYPE_CHECKING

from stalker.config.tree.evidence import content_digest, names_digest, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    OnEntry = Callable[[str, str, str, tuple[int, ...]], None]


def digest_directory(path: str, *, owners: bool = False, on_entry: OnEntry | None = None) -> str:
    """Return the SHA-256 (hex) over all entries below a directory, sorted by path, framed by length.

    Links are not followed, contents are read in pieces. With `owners` the uid and gid of each entry count,
    and the directory itself is an entry. `on_entry` gets what was seen of each entry: its absolute path;
    `names`, `content`, `link` or `node`; the value of that; and its state before it was read. Cost: one read
    of everything below.

    Raises:
        OSError: something below cannot be read.
    """
    state = hashlib.sha256()
    if owners:
        found = os.stat(path)
        _add(state, "", f"{found.st_mode:06o} {found.st_uid}:{found.st_gid}", "")
    for inside, entry, found in _entries(path, on_entry):
        kind, value = _kind_and_value(entry, found, on_entry)
        _add(state, inside, f"{kind} {found.st_uid}:{found.st_gid}" if owners else kind, value)
    return state.hexdigest()


def directory_evidence(path: str) -> tuple[str, int]:
    """Return a digest of the states of a directory and all below it, and the time of its latest change (ns).

    The links that its path leads over count: one that led elsewhere for a while was made again. While this digest stays the same, so does that of `digest_directory`, unless the latest change is so
    young that a further one could look the same. Cost: one `lstat` for each entry.

    Raises:
        OSError: something below cannot be read.
    """
    state = hashlib.sha256()
    own = state_of(os.stat(path))
    latest_ns = max(own[2:4])
    state.update(repr(own).encode())
    for link in _links_on(path):
        seen = state_of(os.lstat(link))
        latest_ns = max(latest_ns, *seen[2:4])
        _add(state, link, repr(seen), "")
    for inside, _, found in _entries(path, None):
        seen = state_of(found)
        latest_ns = max(latest_ns, *seen[2:4])
        _add(state, inside, repr(seen), "")
    return state.hexdigest(), latest_ns


def _links_on(path: str) -> Iterator[str]:
    """Yield the links that an absolute path leads over, its own last part included."""
    at, pending = "/", path.split("/")[::-1]
    while pending:
        part = pending.pop()
        here = os.path.normpath(
            os.path.join(at, part)
        )  # no part before it is a link, so `..` is the one above
        if os.path.islink(here):
            yield here
            pending += os.readlink(here).split("/")[::-1]
            here = "/" if os.readlink(here).startswith("/") else at
        at = here


def _entries(path: str, on_entry: OnEntry | None) -> Iterator[tuple[str, os.DirEntry[str], os.stat_result]]:
    """Yield all entries below a directory, each with its path in it and its `lstat`, sorted."""
    pending = [""]
    while pending:
        inside = pending.pop()
        folder = os.path.join(path, inside) if inside else path
        before = state_of(os.stat(folder)) if on_entry is not None else ()
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        if on_entry is not None:
            on_entry(folder, "names", names_digest([entry.name for entry in entries]), before)
        folders: list[str] = []
        for entry in entries:
            name = os.path.join(inside, entry.name)
            found = entry.stat(follow_symlinks=False)
            yield name, entry, found
            if stat_bits.S_ISDIR(found.st_mode):
                folders.append(name)
        pending.extend(reversed(folders))


def _kind_and_value(
    entry: os.DirEntry[str], found: os.stat_result, on_entry: OnEntry | None
) -> tuple[str, str]:
    mode = found.st_mode
    what, kind, value = "node", f"{mode:06o}", ""
    if stat_bits.S_ISLNK(mode):
        what, kind, value = "link", "link", os.readlink(entry.path)
    elif stat_bits.S_ISREG(mode):
        what, value = "content", content_digest(entry.path)
    if on_entry is not None and not stat_bits.S_ISDIR(mode):  # a directory is seen with its names
        on_entry(entry.path, what, value, state_of(found))
    return kind, value


def _add(state: hashlib._Hash, *texts: str) -> None:
    for text in texts:
        data = os.fsencode(text)
        state.update(b"%d:" % len(data))
        state.update(data)
