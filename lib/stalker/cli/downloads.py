"""Downloads as they come: on a terminal a bar for each and one for all, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from stalker.journal.terminal import clean_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stalker.fetch.meter import Moving

QUIET_S = 0.5
"""What is there sooner, from a cache for one, needs no bar."""

EVERY_S = 5.0
"""How often a line is printed where there is no terminal."""


class Downloads:
    """Shows downloads on stderr while it is entered; `moving` is called by them, one call at a time."""

    def __init__(self) -> None:
        self._began_s = self._told_s = time.monotonic()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def moving(self, one: Moving, whole: Moving) -> None:
        """Hear of one download and of all together."""
        now_s = time.monotonic()
        if now_s - self._began_s < QUIET_S and not self._tasks:
            return
        if not sys.stderr.isatty():
            if now_s - self._told_s >= EVERY_S or (whole.is_done and self._told_s > self._began_s):
                self._told_s = now_s
                print(f"stalker: {clean_line(str(one))}; {whole}", file=sys.stderr, flush=True)
            return
        self._show(whole)
        self._show(one)

    def _show(self, moving: Moving) -> None:
        progress = self._progress or self._begun()
        name = clean_line(moving.name)
        if name not in self._tasks:
            self._tasks[name] = progress.add_task(name, total=moving.total_bytes)
        task = self._tasks[name]
        progress.update(task, completed=moving.size_bytes, total=moving.total_bytes)
        if moving.is_done:
            progress.update(task, total=moving.size_bytes)

    def _begun(self) -> Progress:
        # late: it takes a twentieth of a second
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Bars

        self._progress = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        return self._progress
