"""What every part of making an artifact needs: the engine, the tree, the secrets, and whom to tell."""

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
    from stalker.image.toolbox import Toolbox
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import Tree

PROGRESS_EVERY_S = 0.5


@dataclass(slots=True)
class Workshop:
    """Where artifacts are made.

    `workspace` is an absolute path, `run` the run's id. `toolbox` is None where nobody can give one.
    `cancel` is set when the user stops the run.
    """

    engine: Engine
    tree: Tree
    workspace: str
    secrets: Mapping[str, str]
    emit: Callable[[events.Event], None]
    run: str
    toolbox: Toolbox | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise Interrupted when the user stops the run: to be called a few times a second."""
        if self.cancel.is_set():
            raise Interrupted("interrupted", "what was published stays", "the next run goes on from there")

    def progress(self, artifact: ArtifactId) -> Progress:
        """Return what tells how far an artifact is."""
        return Progress(self, artifact)


class Progress:
    """Tells how far one artifact is, now and then."""

    def __init__(self, workshop: Workshop, artifact: ArtifactId) -> None:
        self._workshop = workshop
        self._artifact = artifact
        self._doing = ""
        self._done_bytes = 0
        self._total_bytes: int | None = None
        self._told_s = 0.0

    def begin(self, doing: str, total_bytes: int | None = None) -> None:
        """Say what is done now (`writing stage4.tar.zst`), and how many bytes that will be if it is known."""
        self._doing, self._done_bytes, self._total_bytes = doing, 0, total_bytes
        self._tell()

    def add(self, count: int) -> None:
        """Say that so many more bytes are done. Raises Interrupted when the user stops the run."""
        self._done_bytes += count
        if time.monotonic() - self._told_s >= PROGRESS_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self._workshop.check()
        self._told_s = time.monotonic()
        self._workshop.emit(
            events.ArtifactProgress(
                time.time(), self._artifact, self._doing, self._done_bytes, self._total_bytes
            )
        )
