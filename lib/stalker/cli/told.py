"""Who hears of events, and what of them is the same for every run."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.model.events import Event, Observer
    from stalker.model.tree import Tree


@dataclass(slots=True)
class Told:
    """Passes each event to all observers, one at a time, in one order for all."""

    observers: list[Observer]
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        with self._lock:
            for observer in self.observers:
                observer.on_event(event)


def tell_files(tree: Tree, emit: Callable[[Event], None]) -> None:
    """Tell of the files that were read, and of what is doubtful in them."""
    now = time.time()
    for file, digest in tree.files_read:
        emit(events.FileRead(now, file, digest))
    for text in tree.warnings:
        emit(events.Note(now, on_one_line(text), "warning"))


def on_one_line(warning: str) -> str:
    """Return a warning of a file with its remedy on the same line, as an event has one line of text."""
    return "; ".join(line.strip() for line in warning.splitlines())
