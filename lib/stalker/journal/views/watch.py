"""`--watch_stdout`: what each step writes, under a ruled line with its name.

Steps run at the same time, their output is shown one after the other: one step has the floor and is
seen live; the others are kept (in memory, then in a temporary file) till the floor is theirs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, TextIO

from stalker.journal.views.stream import Defuser, Sink
from stalker.model import events as ev

if TYPE_CHECKING:
    from stalker.model.events import Observer
    from stalker.model.tree import StepId

RULE_WIDTH = 80
KEPT_IN_MEMORY = 1024 * 1024
CHUNK = 64 * 1024


@dataclass
class _Block:
    """The output of one attempt of a step: what waits, what makes it harmless, and whether it is over."""

    title: str
    defusers: dict[str, Defuser] = field(default_factory=dict)
    kept: IO[bytes] | None = None
    is_over: bool = False
    problem: str = ""


class WatchView:
    """Observer that streams output to `stream` and leaves all other events to `view`.

    A pipe gets the bytes unchanged. On a terminal they are made harmless.
    """

    def __init__(self, stream: TextIO | Sink, view: Observer) -> None:
        """Write to `stream`, results; `view` tells the rest, to stderr."""
        self._sink = stream if isinstance(stream, Sink) else Sink(stream)
        self._view = view
        self._lock = threading.Lock()
        self._blocks: dict[StepId, _Block] = {}
        self._queue: list[_Block] = []
        self._late: dict[StepId, _Block] = {}

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        with self._lock:
            match event:
                case ev.StepStarted():
                    self._begin(event.step, event.attempt)
                case ev.StepOutput():
                    self._take(event)
                case ev.StepFinished():
                    self._end(event.step)
                case ev.RunFinished():
                    self._end_all()
        if not isinstance(event, ev.StepOutput):
            self._view.on_event(event)

    def close(self) -> None:
        """Show what is still kept."""
        with self._lock:
            self._end_all()
        close = getattr(self._view, "close", None)
        if close:
            close()

    def _begin(self, step: StepId, attempt: int) -> None:
        self._end(step)
        again = f" (attempt {attempt})" if attempt > 1 else ""
        block = self._blocks[step] = _Block(f"{step}{again}")
        self._queue.append(block)
        if self._queue[0] is block:
            self._show_title(block)

    def _take(self, event: ev.StepOutput) -> None:
        block = self._blocks.get(event.step)
        if block is None:  # a service goes on after its step: it never has the floor
            block = self._late.setdefault(event.step, _Block(f"{event.step} (service)"))
        data = self._harmless(block, event.stream, event.data)
        if self._queue and self._queue[0] is block:
            self._sink.write(data)
        else:
            _keep(block, data)

    def _harmless(self, block: _Block, stream: str, data: bytes) -> bytes:
        if not self._sink.is_terminal:
            return data
        return self._sink.encoded(block.defusers.setdefault(stream, Defuser()).feed(data))

    def _end(self, step: StepId) -> None:
        block = self._blocks.pop(step, None)
        if block:
            block.is_over = True
            self._pass_floor()

    def _end_all(self) -> None:
        for step in list(self._blocks):
            self._end(step)
        for block in self._late.values():
            self._show_title(block)
            self._show_kept(block)
            self._show_end(block)
        self._late = {}

    def _pass_floor(self) -> None:
        """Show the blocks that are over; then the oldest of the others has the floor."""
        while self._queue and self._queue[0].is_over:
            self._show_end(self._queue.pop(0))
            self._queue.sort(key=lambda block: not block.is_over)
            if self._queue:
                self._show_title(self._queue[0])
                self._show_kept(self._queue[0])

    def _show_title(self, block: _Block) -> None:
        self._sink.write_line(f"---- {block.title} ".ljust(RULE_WIDTH, "-") + "\n")

    def _show_kept(self, block: _Block) -> None:
        if block.kept:
            with block.kept as file:
                file.seek(0)
                while data := file.read(CHUNK):
                    self._sink.write(data)
            block.kept = None

    def _show_end(self, block: _Block) -> None:
        for defuser in block.defusers.values():
            self._sink.write(self._sink.encoded(defuser.flush()))
        if block.problem:
            self._sink.write_line(f"... the rest could not be kept, it is in the step's log: {block.problem}")
        self._sink.write_line("")


def _keep(block: _Block, data: bytes) -> None:
    """Put output aside; on a full disk the rest of it is left to the step's log."""
    if block.problem:
        return
    try:
        if block.kept is None:
            import tempfile  # late: with one step at a time nothing is ever put aside

            block.kept = tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY)  # noqa: SIM115 - closed when shown
        block.kept.write(data)
    except OSError as error:
        block.problem = str(error)
