"""What every part of making an artifact needs: the engine, the tree, the secrets, and a reporter."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.errors import Interrupted
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stalker.engine.interface import Engine
    from stalker.io.progress import Task
    from stalker.model.artifacts import Artifact, ArtifactId
    from stalker.model.images import Image
    from stalker.model.tree import Tree
    from stalker.toolbox.container import Toolbox

PROGRESS_EVERY_S = 0.5


@dataclass(slots=True)
class Workshop:
    """Where artifacts are made.

    `workspace` is an absolute path, `run` the run's id. `toolbox` is None where none is available.
    `cancel` is set when the user stops the run. `bills` returns by form the bills of materials of an artifact's image.
    """

    engine: Engine
    tree: Tree
    workspace: str
    secrets: Mapping[str, str]
    emit: Callable[[events.Event], None]
    run: str
    toolbox: Toolbox | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    bills: Callable[[Artifact, Image], Mapping[str, str]] | None = None

    def check(self) -> None:
        """Raise Interrupted when the user stops the run: to be called a few times a second."""
        if self.cancel.is_set():
            raise Interrupted("interrupted", "what was published stays", "the next run goes on from there")

    def say(self, text: str) -> None:
        """Report a line."""
        self.emit(events.Note(time.time(), text))

    def reporter(self, artifact: ArtifactId) -> ArtifactReporter:
        """Return what reports how far an artifact is."""
        return ArtifactReporter(self, artifact)


class ArtifactReporter:
    """Emits how far one artifact is: each task at its start, then twice a second."""

    def __init__(self, workshop: Workshop, artifact: ArtifactId) -> None:
        self.say = workshop.say
        self.check = workshop.check
        self._workshop = workshop
        self._artifact = artifact
        self._task: Task | None = None
        self._emitted_s = 0.0

    def moved(self, task: Task) -> None:
        """Emit it if it is new, or if the last time is long enough ago."""
        now_s = time.monotonic()
        if task is self._task and now_s - self._emitted_s < PROGRESS_EVERY_S:
            return
        self._task, self._emitted_s = task, now_s
        self._workshop.emit(
            events.ArtifactProgress(time.time(), self._artifact, task.name, task.done_bytes, task.total_bytes)
        )
