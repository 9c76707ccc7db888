"""What a step's mounts need before they are there, and what the engine makes for them and leaves."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.model import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.engine.interface import Engine
    from stalker.model.images import Image
    from stalker.model.tree import Mount


def prepare_mounts(engine: Engine, mounts: Iterable[Mount], workspace: str) -> None:
    """Make the volumes of stores, and the directories of the workspace that are to be written to."""
    for mount in mounts:
        if mount.kind == "store":
            engine.ensure_volume(mount.source, {labels.VERSION: __version__})
        elif mount.writable and not os.path.isabs(mount.source):  # noqa: PTH117
            os.makedirs(os.path.join(workspace, mount.source), exist_ok=True)  # noqa: PTH103, PTH118


def sources_now(mounts: Iterable[Mount], workspace: str) -> list[tuple[int, int] | None]:
    """Return which directories of this host mounts would show now: device and inode, None for one not here."""
    return [
        _identity(os.path.join(workspace, mount.source))  # noqa: PTH118
        for mount in mounts
        if mount.kind == "directory"
    ]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def volumes_of(image: Image) -> tuple[str, ...]:
    """Return the directories that an image declares as volumes."""
    declared = image.config.get("Volumes")
    return tuple(declared) if isinstance(declared, dict) else ()


def image_without_volumes(engine: Engine, image: Image, run: str) -> str:
    """Return the id of what a container starts from in place of an image that declares volumes.

    A container of that one would keep what is written there in volumes, which no commit has. The image is
    temporary: it carries the label of the run.
    """
    if not volumes_of(image):
        return image.id
    made = {labels.VERSION: __version__, labels.RUN: run, labels.TEMPORARY: run}
    return engine.without_volumes(image.id, made)


def folders_of_mounts(points: list[str]) -> list[str]:
    """Return mount points and all directories above them, sorted; without the root."""
    folders: set[str] = set()
    for point in points:
        folder = point
        while folder not in {"/", ""}:
            folders.add(folder)
            folder = os.path.dirname(folder)  # noqa: PTH120
    return sorted(folders)


def remove_folders(engine: Engine, container: str, folders: list[str]) -> None:
    """Remove those of some directories that are empty, innermost first."""
    lines = [f"rmdir {shlex.quote(folder)} 2>/dev/null" for folder in sorted(folders, key=len, reverse=True)]
    program = "; ".join([*lines, ":"])
    engine.exec(container, ("/bin/sh", "-c", program), {}, lambda _data, _err: None, user="0")
