"""The place of an artifact: held against other runs, and cleared of what dead runs left and of old versions.

A run holds a lock on the directory that it fills, so that runs which do not see each other's processes, but
share the directory, know what is in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from stalker.errors import LockHeld
from stalker.image.manifest import BadManifest, read_manifest
from stalker.image.shelf import PART, UNPROVEN
from stalker.model.events import Note
from stalker.run.lock import hold_names
from stalker.run.owner import fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stalker.image.shelf import Shelf
    from stalker.image.workshop import Workshop

LINK = ".link"

YOUNG_S = 60.0
"""A directory is made first and locked then."""


@contextlib.contextmanager
def held(shelf: Shelf, workshop: Workshop, *, wait: bool) -> Iterator[None]:
    """Hold the place of an artifact; no other run makes it meanwhile. Raises LockHeld."""
    who = f"run {workshop.run} (process {os.getpid()}, {workshop.tree.file})"
    place = os.path.realpath(shelf.folder) + f"/{shelf.name}"

    def say(text: str) -> None:
        workshop.emit(Note(time.time(), text))

    try:
        with hold_names("artifact", [place], who, wait=wait, say=say):
            yield
    except LockHeld as error:
        raise LockHeld(error.brief, "", error.resolution) from error


def sweep(shelf: Shelf) -> None:
    """Remove what dead runs left, and versions that nothing points at; to be called under the lock."""
    for path in shelf.parts():
        if path.name[len(shelf.name) + 1] == "~" or _is_abandoned(path, shelf):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in shelf.folder.iterdir():
            named = path.name.startswith(f".{shelf.name}-") and path.name.endswith(LINK)
            if named and _is_abandoned(path, shelf):
                path.unlink(missing_ok=True)
    target = shelf.target()
    for folder in shelf.folders():
        if folder != target and not folder.name.endswith(UNPROVEN):
            remove(shelf, folder)


@contextlib.contextmanager
def in_use(part: Path) -> Iterator[None]:
    """Hold the lock of a directory that is being filled."""
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then only process numbers count
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_abandoned(path: Path, shelf: Shelf) -> bool:
    """Say whether the run that made a passing directory or link is over, by its process or by the lock."""
    known = fate(_run_of(path, shelf))
    if known != "unknown":
        return known == "dead"
    try:
        if time.time() - path.lstat().st_mtime < YOUNG_S:
            return False
        if path.is_symlink():
            return True  # a link is moved to its name at once
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _run_of(path: Path, shelf: Shelf) -> str:
    return path.stem.removeprefix(f".{shelf.name}-")


def sweep_alone(shelf: Shelf, workshop: Workshop) -> None:
    """Sweep where nothing is made; not while another run works on the artifact."""
    with contextlib.suppress(LockHeld, OSError), held(shelf, workshop, wait=False):
        sweep(shelf)


def leftovers(shelf: Shelf) -> bool:
    """Say whether `sweep` would find something to look at."""
    target = shelf.target()
    return bool(shelf.parts()) or any(
        folder != target and not folder.name.endswith(UNPROVEN) for folder in shelf.folders()
    )


def remove(shelf: Shelf, folder: Path) -> None:
    """Remove a version if it is ours; under another name first, so that half of one never looks whole."""
    try:
        manifest = read_manifest(folder)
    except BadManifest:
        if any(folder.iterdir()) and not (folder / "manifest.json").exists():
            return  # nothing says that we made it
    else:
        if manifest.artifact.rpartition("/")[2] != shelf.name:
            return
    shelf.evidence(folder).forget()
    gone = shelf.folder / f".{shelf.name}~{secrets.token_hex(6)}{PART}"
    with contextlib.suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
