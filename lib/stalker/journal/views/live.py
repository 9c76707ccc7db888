"""The live view of a terminal: stalks and steps as a tree, drawn again a few times a second.

Rich draws it, and is imported when the first step or base begins: a run with nothing to do prints one
line. Drawing happens in rich's own thread; events only change the state.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, TextIO

from stalker.journal.views.progress import Progress
from stalker.journal.views.screen import final_rows, fit, rows
from stalker.journal.views.stream import Sink, clean_line, harmless
from stalker.journal.views.wording import (
    artifact_lines,
    artifact_words,
    failure_lines,
    result_words,
    summary_lines,
)
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from stalker.journal.views.screen import Row

UPDATES_A_SECOND = 8
MOST_FAILURES = 3
"""Failed steps that are shown with their last lines at the end; of the others the log's place is."""


class LiveView:
    """Observer that shows a run on a terminal while it goes on, and leaves its result there."""

    def __init__(
        self, stream: TextIO | Sink, *, colour: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        """Draw on `stream`, a terminal; `clock` is Unix time, as in the events."""
        self._sink = stream if isinstance(stream, Sink) else Sink(stream)
        self._has_colour = colour
        self._clock = clock
        self._lock = threading.Lock()
        self._progress = Progress()
        self._console: Console | None = None
        self._live: Live | None = None
        self._has_begun = False
        self._is_over = False

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        event = harmless(event)
        with self._lock:
            if self._is_over:
                return
            self._progress.on_event(event)
        match event:
            case ev.BaseStarted() | ev.StepStarted() | ev.ArtifactStarted() if not self._has_begun:
                self._start()
            case ev.Note():
                warning = "warning: " if event.level == "warning" else ""
                self._print([warning + clean_line(event.text)], "yellow" if warning else "")
            case ev.BaseFinished() if event.error:
                self._print([f"{event.stalk}:initial  {clean_line(event.error)}"], "red")
            case ev.RunFinished():
                self._finish(event)

    def close(self) -> None:
        """Give the terminal back as it was."""
        with self._lock:
            self._is_over = True
            live, self._live = self._live, None
        if live:
            live.stop()
        atexit.unregister(self.close)

    def _start(self) -> None:
        with self._lock:
            if self._has_begun or self._is_over:
                return
            self._has_begun = True
        from rich.console import Console
        from rich.live import Live

        # Never under our lock: rich draws with its own lock held, and drawing takes ours.
        self._console = Console(
            file=getattr(self._sink.stream, "unescaped", self._sink.stream),
            force_terminal=True,
            no_color=not self._has_colour,
            highlight=False,
            markup=False,
        )
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=UPDATES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        atexit.register(self.close)  # the cursor comes back even after a crash
        self._live.start()

    def _draw(self) -> Text:
        from rich.text import Text

        assert self._console
        width, height = self._size()
        self._console.size = (width, height)
        now = self._clock()
        with self._lock:
            found = rows(self._progress, now, max(height - 1, 1), width)
        text = Text(no_wrap=True, overflow="crop", end="")
        for number, row in enumerate(found):
            if number:
                text.append("\n")
            self._append(text, row, width, now)
        return text

    def _size(self) -> tuple[int, int]:
        """Return columns and lines of the terminal that is drawn on; rich would ask stdin first."""
        try:
            columns, lines = os.get_terminal_size(self._sink.stream.fileno())
        except (OSError, ValueError):
            columns, lines = 0, 0
        return columns or 80, lines or 25  # a terminal without a known size reports 0

    def _append(self, text: Text, row: Row, width: int, now: float) -> None:
        # One column stays free: terminals differ in what they do after the last one.
        indent, symbol, words, right = fit(row, width - 1, now, is_ascii=not self._sink.can_unicode)
        text.append(indent)
        text.append(symbol, row.style)
        text.append(words, row.style if row.style != "green" else "")
        text.append(right, "dim")

    def _print(self, lines: list[str], style: str = "") -> None:
        """Print lines above the tree, or where it would be."""
        if not lines:
            return
        if self._console is None:
            self._sink.write_line("\n".join(lines))
            return
        from rich.text import Text

        self._console.print(Text("\n".join(lines), style), soft_wrap=True)

    def _finish(self, event: ev.RunFinished) -> None:
        console = self._console
        self.close()
        if console is not None:
            from rich.text import Text

            now = self._clock()
            for row in final_rows(self._progress):
                text = Text(no_wrap=True, overflow="crop")
                self._append(text, row, console.size.width, now)
                console.print(text, soft_wrap=True)
        for failure in self._progress.failures[:MOST_FAILURES]:
            self._print([f"{failure.step}  {result_words(failure)}"], "red")
            self._print(failure_lines(failure, self._progress.config))
        for failure in self._progress.failures[MOST_FAILURES:]:
            self._print([f"{failure.step}  {result_words(failure)}, log: {failure.log}"], "red")
        for view in self._progress.artifacts.values():
            if view.finished and view.finished.state in {"failed", "unproven"}:
                self._print([f"{view.id}  {artifact_words(view.finished)}"], "red")
                self._print(artifact_lines(view.finished))
        *lines, last = summary_lines(event)
        self._print(lines, "red")
        self._print([last], "bold red" if event.exit_code else "bold")
