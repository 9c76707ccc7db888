"""An image's root file system as a tar, as it would be on a disk: nothing of Docker's in it.

The engine's stream is passed on member by member, so memory stays flat however large the image is.
Two exports of one image are equal byte for byte: Docker touches a few directories when it makes the
container that is exported, and their time is set back to when the image was made.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.io.compression.writer import STDOUT, Target, plan_target, written
from stalker.model.artifacts import Artifact, Rootfs
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content

if TYPE_CHECKING:
    from collections.abc import Generator

    from stalker.engine.interface import Engine
    from stalker.model.images import Image


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: its path and size; 0 bytes when it went to a pipe."""

    path: str
    size_bytes: int


def plan_export(output: str, boot: str) -> list[Target]:
    """Find out how the files of an export are written; nothing is touched. Raises PlanError."""
    from stalker.errors import PlanError

    targets = [plan_target(output)]
    if boot:
        if boot == STDOUT:
            raise PlanError("--boot wants a file", "stdout takes one tar only", "name a file for it")
        targets.append(plan_target(boot))
        if targets[0].path == targets[1].path:
            raise PlanError(f"-o and --boot both name {boot}", "", "name two files")
    return targets


def export_image(
    engine: Engine, image: Image, targets: list[Target], *, latest_s: int | None = None
) -> list[Exported]:
    """Write an image's root file system to the first target, and what is below `/boot` to the second.

    With a second one the root keeps an empty `/boot`, and names in the boot tar have no `boot/` before
    them: it is what a boot partition holds. No time is later than `latest_s`, or the image's own.

    Raises:
        EngineError: the engine's stream broke off.
        StalkerError: a file could not be written, or the image has no `/boot` to split off.
    """
    content = Content(
        Artifact("export", "", Place(""), Rootfs(targets[0].path)),
        made_s=int(image.created_s),
        epoch_s=latest_s,
        parts=("/", "/boot")[: len(targets)],
    )
    with written(targets) as artifacts, contextlib.closing(_closable(engine.export(image.id))) as chunks:
        writers = [artifact.write for artifact in artifacts]
        for output, data in content.stream(chunks, lambda: engine.export(image.id)):
            writers[output](data)
        if len(targets) > 1:
            check_boot(content, 1)
    return [Exported(artifact.target.path, artifact.size_bytes) for artifact in artifacts]


def check_boot(content: Content, part: int) -> None:
    """Raise StalkerError when nothing but the directory itself went to the tar of /boot."""
    if content.entries[part] < 2:
        raise StalkerError(
            "the image has nothing below /boot", "", "leave the boot tar out, or put a kernel into the image"
        )


def _closable(stream: object) -> Generator[bytes, None, None]:
    return stream  # type: ignore[return-value]  # the promise of Engine.export: a generator to be closed
