"""The place of an artifact held against other runs, and tidied: what dead runs left, and old versions."""

from __future__ import annotations

import contextlib
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
from stalker.run.owner import is_dead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stalker.image.shelf import Shelf
    from stalker.image.workshop import Workshop

LINK = ".link"


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
        if path.name[len(shelf.name) + 1] == "~" or is_dead(_run_of(path, shelf)):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in shelf.folder.iterdir():
            named = path.name.startswith(f".{shelf.name}-") and path.name.endswith(LINK)
            if named and is_dead(_run_of(path, shelf)):
                path.unlink(missing_ok=True)
    target = shelf.target()
    for folder in shelf.folders():
        if folder != target and not folder.name.endswith(UNPROVEN):
            remove(shelf, folder)


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
