"""Each step's output in a file of its own, as it came."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stalker.io.masking import Masker
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.tree import StepId

FLUSH_EVERY_S = 1.0
"""How old output may be that `tail -f` does not show yet."""


@dataclass
class _OpenLog:
    """One running step: its file, a masker for each stream, and when it was last flushed."""

    file: BinaryIO
    flushed_at: float
    maskers: dict[str, Masker] = field(default_factory=dict)


class StepLogs:
    """Observer that writes the output of each step to the file that `StepStarted.log` names.

    A path that is not absolute is below the run's workspace. A file that exists already belongs to another
    run and is never written to. What a service writes after its step has ended goes on in its step's file.
    """

    def __init__(self, masks: Sequence[str] = ()) -> None:
        """Take the secrets to mask, should any still be in the output."""
        self.problem = ""
        """Why a log could not be written, for the user; empty when all could."""
        self._masks = tuple(masks)
        self._workspace = Path()
        self._lock = threading.Lock()
        self._paths: dict[StepId, Path] = {}
        self._open: dict[StepId, _OpenLog] = {}
        self._ours: set[Path] = set()

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        with self._lock:
            try:
                self._take(event)
            except OSError as error:
                self.problem = self.problem or f"a step's log could not be written: {error}"

    def close(self) -> None:
        """Write what is held back and close all files."""
        with self._lock:
            for step in list(self._open):
                with suppress(OSError):
                    self._close(step)
            self._paths = {}

    def _take(self, event: ev.Event) -> None:
        match event:
            case ev.StepOutput():
                self._write(event)
            case ev.RunStarted():
                self._workspace = Path(event.workspace)
            case ev.StepStarted():
                self._close(event.step)
                self._paths.pop(event.step, None)
                if event.log:
                    self._begin(event.step, self._workspace / event.log, event.at)
            case ev.StepFinished():
                self._close(event.step)
            case ev.RunFinished():
                for step in list(self._open):
                    self._close(step)

    def _begin(self, step: StepId, path: Path, at: float) -> None:
        """Make the log of a step, or go on with one that was made here."""
        if path not in self._ours:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("xb").close()
            self._ours.add(path)
        self._paths[step] = path
        self._opened(step, at)

    def _write(self, event: ev.StepOutput) -> None:
        log = self._opened(event.step, event.at)
        if log is None:
            return
        data = event.data
        if self._masks:
            masker = log.maskers.setdefault(event.stream, Masker(self._masks))
            data = masker.feed(data)
        log.file.write(data)
        if event.at - log.flushed_at >= FLUSH_EVERY_S:
            log.file.flush()
            log.flushed_at = event.at

    def _opened(self, step: StepId, at: float) -> _OpenLog | None:
        if step not in self._open:
            path = self._paths.get(step)
            if path is None:
                return None
            self._open[step] = _OpenLog(path.open("ab"), at)
        return self._open[step]

    def _close(self, step: StepId) -> None:
        log = self._open.pop(step, None)
        if log:
            with log.file:
                for masker in log.maskers.values():
                    log.file.write(masker.flush())
