"""The observers of a run: its journal, its step logs, its view; and the events that every run emits."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.journal.step_logs import StepLogs
from stalker.journal.views.choose import View, choose_view
from stalker.journal.writer import Journal
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.model.events import Event, Observer
    from stalker.model.tree import Tree


def _to_stderr(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


@dataclass(slots=True)
class Observers:
    """What receives the events of a run, the logs before the view."""

    journal: Journal
    logs: StepLogs
    view: View
    warn: Callable[[str], None] = _to_stderr

    @property
    def all(self) -> list[Observer]:
        """All of them, in the order in which each receives an event."""
        return [self.journal, self.logs, self.view]

    def close(self, error: BaseException | None = None) -> None:
        """Close all; `error` is what ended the program, if it was that. Says what could not be written."""
        with ExitStack() as closing:
            closing.callback(self._report_problems)
            closing.callback(self.journal.close, error)
            closing.callback(self.logs.close)
            closing.callback(self.view.close)

    def _report_problems(self) -> None:
        for problem in filter(None, (self.journal.problem, self.logs.problem)):
            self.warn(problem)


def open_observers(
    tree: Tree,
    run: str,
    masks: Sequence[str],
    *,
    watch_stdout: bool = False,
    eliot_info: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> Observers:
    """Return the observers of a run; `masks` are the values of the tree's secrets."""
    log_dir = Path(tree.workspace) / tree.log_dir
    view = choose_view(
        sys.stdout,
        sys.stderr,
        os.environ,
        quiet=quiet,
        json=as_json,
        watch=watch_stdout,
        eliot_info=eliot_info,
    )
    return Observers(Journal(log_dir, run, masks), StepLogs(masks), view)


@dataclass(slots=True)
class Dispatcher:
    """Passes each event to all observers, one at a time, in one order for all."""

    observers: list[Observer]
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def emit(self, event: Event) -> None:
        """Pass an event to each observer."""
        with self._lock:
            for observer in self.observers:
                observer.on_event(event)


def report_files(tree: Tree, emit: Callable[[Event], None]) -> None:
    """Emit an event for each file that was read, and for each warning about one."""
    now = time.time()
    for file, digest in tree.files_read:
        emit(events.FileRead(now, file, digest))
    for text in tree.warnings:
        emit(events.Note(now, on_one_line(text), "warning"))


def on_one_line(warning: str) -> str:
    """Return a warning of a file with its remedy on the same line, as an event has one line of text."""
    return "; ".join(line.strip() for line in warning.splitlines())
