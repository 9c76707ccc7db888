"""Placed files that are mounted over hard-linked files of the image, because moving such a one breaks its links.

A file system of layers copies a file when it is renamed, and the copy is no longer the file that the other
names have. A mount leaves it alone. The files are in a volume of their own, so that it works with an engine on
another host too; a container with such mounts serves one step, because a script may write to them.
"""

from __future__ import annotations

import io
import secrets
import tarfile
from typing import TYPE_CHECKING

from stalker.engine.interface import ContainerSpec
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.engine.interface import Engine
    from stalker.run.script.payload import Placed

NAME = "stalker-files-"
"""What the names of the volumes begin with; the run and something random follow."""

FILLED_AT = "/.stalker-files"


def mounts_of_files(
    engine: Engine, image: str, files: Sequence[Placed], run: str
) -> tuple[str, tuple[Mount, ...]]:
    """Put files into a new volume; return its name, and the mounts that show each at its target."""
    volume = f"{NAME}{run}-{secrets.token_hex(4)}"
    own = {labels.RUN: run, labels.VERSION: labels.CONTAINER}
    place = Place("")
    engine.ensure_volume(volume, own)
    filled = Mount(FILLED_AT, "store", volume, writable=True, place=place)
    carrier = engine.create(ContainerSpec(image, f"{volume}-fill", own, mounts=(filled,)))
    try:
        engine.put(carrier, _archive(files))
    finally:
        engine.remove_container(carrier)
    path = engine.volume_path(volume)
    return volume, tuple(
        Mount(file.target, "directory", f"{path}/{number}", writable=True, place=place)
        for number, file in enumerate(files)
    )


def run_of_volume(volume: str) -> str:
    """Return the run that a volume was made by."""
    return volume.removeprefix(NAME).rpartition("-")[0]


def _archive(files: Sequence[Placed]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, file in enumerate(files):
            entry = tarfile.TarInfo(f"{FILLED_AT.lstrip('/')}/{number}")
            entry.size, entry.mode = len(file.content), file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
