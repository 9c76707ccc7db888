"""Downloads and other transfers on stderr: bars in a terminal, elsewhere a line from time to time."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from stalker.io.progress import Group
from stalker.journal.views.stream import clean_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stalker.io.progress import Task

EVERY_S = 5.0
"""How often a line is printed where there is no terminal."""


@dataclass(slots=True)
class Transfers:
    """A reporter that shows one task at a time, or a group of them; enter it, so that no bar is left at the end.

    `quiet_s`: nothing is shown of what takes less.
    """

    quiet_s: float = 0.0
    is_terminal: bool = field(default_factory=lambda: sys.stderr.isatty())  # noqa: PLW0108  of the stderr at the call
    clock: Callable[[], float] = time.monotonic

    _shown: Task | None = None
    _began_s: float = 0.0
    _printed_s: float = 0.0
    _is_complete: bool = False
    _bars: Progress | None = None
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        # in one piece: downloads print from their threads
        sys.stderr.write(f"stalker: {text}\n")
        sys.stderr.flush()

    def moved(self, task: Task) -> None:
        """Show how far a task is, if that is worth it."""
        with self._lock:
            now_s = self.clock()
            if (task.group or task) is not self._shown:
                self.end()
                self._shown, self._began_s, self._printed_s = task.group or task, now_s, now_s - EVERY_S
                self._is_complete = False
            if now_s - self._began_s < self.quiet_s:
                return
            if self.is_terminal:
                self._show(task)
                if (task.group or task).is_done and not isinstance(task, Group):
                    self.end()
            elif not isinstance(task, Group):
                self._print(task, now_s)

    def check(self) -> None:
        """Do nothing: Ctrl-C raises by itself here."""

    def end(self) -> None:
        """Remove the bars."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
            self._bars, self._shown = None, None
            self._tasks.clear()

    def _print(self, task: Task, now_s: float) -> None:
        whole, was_complete = task.group or task, self._is_complete
        self._is_complete = whole.is_done or whole.done_bytes == whole.total_bytes
        is_recent = now_s - self._printed_s < EVERY_S
        if was_complete == self._is_complete and (was_complete or is_recent):
            return
        self._printed_s = now_s
        self.say(clean_line(str(task)) + (f"; {task.group}" if task.group is not None else ""))

    def _show(self, task: Task) -> None:
        bars = self._bars or self._opened()
        name = clean_line(task.name)
        if name not in self._tasks:
            self._tasks[name] = bars.add_task(name, total=task.total_bytes)
        bars.update(self._tasks[name], completed=task.done_bytes, total=task.total_bytes)

    def _opened(self) -> Progress:
        # late: it takes a twentieth of a second
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars.start()
        atexit.register(self._bars.stop)  # also after an error: the cursor comes back
        return self._bars
