"""Plain lines: one an event, for pipes, and for terminals that show a step's output."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, TextIO

from stalker.io.units import duration_text
from stalker.journal.views.stream import RESET, Sink, clean_line, harmless
from stalker.journal.views.wording import (
    artifact_lines,
    artifact_words,
    failure_lines,
    plan_line,
    progress_words,
    result_words,
    summary_lines,
)
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

Detail = Literal["all", "results", "errors"]
"""Every event; only what went wrong, notes and the end; only what went wrong."""

PROGRESS_EVERY_S = 10.0
_RED, _GREEN, _YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"


class PlainView:
    """Observer that writes one line an event, and more lines where a step failed."""

    def __init__(self, stream: TextIO | Sink, *, detail: Detail = "all", colour: bool = False) -> None:
        """Write to `stream`; `colour` is honoured on a terminal only."""
        self._sink = stream if isinstance(stream, Sink) else Sink(stream)
        self._detail = detail
        self._has_colour = colour and self._sink.is_terminal
        self._lock = threading.Lock()
        self._config = ""
        self._told_progress: dict[str, float] = {}
        self._doing: dict[str, tuple[str, float]] = {}

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        if isinstance(event, ev.StepOutput):
            return
        event = harmless(event)
        with self._lock:
            if isinstance(event, ev.RunStarted):
                self._config = event.config
            lines = self._lines(event)
            if lines:
                self._sink.write_line("\n".join(lines))

    def close(self) -> None:
        """Nothing is held back."""

    def _lines(self, event: ev.Event) -> Sequence[str]:
        match event:
            case ev.Note(level="warning"):
                return [self._in(_YELLOW, "warning:") + f" {clean_line(event.text)}"]
            case ev.BaseFinished() if event.error:
                failed = self._in(_RED, "failed")
                return [
                    f"{event.stalk}:initial  {failed} after {duration_text(event.duration_s)}: {event.error}"
                ]
            case ev.StepFinished() if event.state != "done":
                return self._failure(event)
            case ev.ArtifactFinished() if event.state != "done":
                colour = _YELLOW if event.state in {"blocked", "cancelled"} else _RED
                return [
                    f"{event.artifact}  {self._in(colour, artifact_words(event))}",
                    *artifact_lines(event),
                ]
            case ev.RunFinished() if self._detail != "errors" or event.exit_code:
                return self._summary(event)
            case ev.Note() if self._detail != "errors":
                return [clean_line(event.text)]
        return self._doings(event) if self._detail == "all" else []

    def _doings(self, event: ev.Event) -> Sequence[str]:
        match event:
            case ev.Planned():
                line = plan_line(event)
                return [line] if line else []
            case ev.BaseStarted():
                return [f"{event.stalk}:initial  getting {event.base}"]
            case ev.BaseProgress():
                if event.at - self._told_progress.get(event.stalk, 0.0) < PROGRESS_EVERY_S:
                    return []
                self._told_progress[event.stalk] = event.at
                return [f"{event.stalk}:initial  {clean_line(event.text)}"]
            case ev.BaseFinished():
                done = self._in(_GREEN, "done")
                return [f"{event.stalk}:initial  {done} in {duration_text(event.duration_s)}"]
            case ev.StepStarted():
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                return [f"{event.step}  {'starting, to stay up' if event.service else 'running'}{again}"]
            case ev.StepFinished():
                return [f"{event.step}  " + result_words(event).replace("done", self._in(_GREEN, "done"), 1)]
            case ev.StepReused() if event.shared_with:
                return [f"{event.step}  {self._in(_GREEN, 'done')}: {clean_line(event.reason)}"]
            case ev.StepBlocked():
                return [f"{event.step}  blocked: {clean_line(event.cause)}"]
            case ev.ArtifactStarted():
                self._told_progress[event.artifact] = event.at
                doing = "proving" if event.verdict == "PROVE" else "making"
                return [f"{event.artifact}  {doing}: {clean_line(event.reason)}"]
            case ev.ArtifactProgress():
                return self._artifact_progress(event)
            case ev.ArtifactFinished():
                words = artifact_words(event).replace("published", self._in(_GREEN, "published"), 1)
                return [f"{event.artifact}  {words}"]
        return []

    def _artifact_progress(self, event: ev.ArtifactProgress) -> Sequence[str]:
        doing, since_s = self._doing.get(event.artifact, ("", 0.0))
        if doing != event.doing:
            since_s = event.at
            self._doing[event.artifact] = (event.doing, since_s)
        if event.at - self._told_progress.get(event.artifact, 0.0) < PROGRESS_EVERY_S:
            return []
        self._told_progress[event.artifact] = event.at
        return [f"{event.artifact}  {progress_words(event, since_s)}"]

    def _failure(self, event: ev.StepFinished) -> Sequence[str]:
        first = f"{event.step}  {self._in(_RED, result_words(event))}"
        if event.will_retry_in_s is not None or event.state == "cancelled":
            return [first]
        return [first, *failure_lines(event, self._config)]

    def _summary(self, event: ev.RunFinished) -> Sequence[str]:
        *lines, last = summary_lines(event)
        return [*lines, self._in(_RED if event.exit_code else _GREEN, last)]

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._has_colour else text
