"""A run as a value: an iterator of events, and a result.

It works in a thread of its own, so the signals of the program stay the caller's, and nothing ends the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stalker.app.run import run_tree
from stalker.errors import StalkerError, StepFailed
from stalker.journal.observers import Observers
from stalker.journal.step_logs import StepLogs
from stalker.journal.writer import Journal
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.app.execute import RunOutcome
    from stalker.app.run import RunRequest
    from stalker.app.settings import Settings
    from stalker.model.artifacts import ArtifactId
    from stalker.model.events import Event
    from stalker.model.tree import StepId
    from stalker.model.tree import Tree as ReadTree


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    `exit_code` is that of `stalker run`. `images` are the ids of the images of all steps that are there. `made`
    counts artifacts that were published, `unmade` are those that were not. `error` is None where all went well.
    """

    run: str
    exit_code: int
    ran: int
    reused: int
    failed: tuple[StepId, ...]
    blocked: tuple[StepId, ...]
    made: int
    unmade: tuple[ArtifactId, ...]
    duration_s: float
    images: Mapping[StepId, str]
    error: StalkerError | None

    def check(self) -> None:
        """Raise `error` where there is one."""
        if self.error is not None:
            raise self.error


class Run:
    """A run that goes on. Iterate over it, with `for` or `async for`, for its events: each is given once.

    Leave it as a context manager to cancel what still goes on. All methods may be called from any thread.
    """

    def __init__(self, settings: Settings, config: str, request: RunRequest) -> None:
        """Start the run."""
        self._request = request
        self._news = threading.Condition()
        self._events: deque[Event] = deque()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._is_over = False
        self._failure: StalkerError | None = None
        self._outcome: RunOutcome | None = None
        self._raised: BaseException | None = None
        self._thread = threading.Thread(
            target=self._work, args=(settings, config), name="stalker-run", daemon=False
        )
        self._thread.start()

    def cancel(self) -> None:
        """Request the end of the run; return at once. What was committed stays."""
        self._request.cancel.set()

    def result(self) -> Result:
        """Wait for the end, and return how the run ended; events that are not taken yet are dropped.

        Raises:
            StalkerError: the run could not begin: its files have problems, a step is unknown, no engine answers.
        """
        for _event in self:
            pass
        return self._result()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            with self._news:
                while not self._events and not self._is_over:
                    self._news.wait()
                if self._events:
                    return self._events.popleft()
        except KeyboardInterrupt:
            self.cancel()
            raise
        self._thread.join()
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            with self._news:
                if self._events:
                    return self._events.popleft()
                if self._is_over:
                    raise StopAsyncIteration
                loop = asyncio.get_running_loop()
                news = loop.create_future()
                self._waiting.append((loop, news))
            await news

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._thread.join()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
        await asyncio.to_thread(self._thread.join)

    # The thread of the run

    def _work(self, settings: Settings, config: str) -> None:
        try:
            self._outcome = run_tree(settings, config, self._request, self._observers)
        except BaseException as error:  # noqa: BLE001  raised again by `result`
            self._raised = error
        finally:
            self._wake(is_over=True)

    def _observers(self, tree: ReadTree, run: str, masks: Sequence[str]) -> Observers:
        log_dir = _log_dir(tree)
        return Observers(Journal(log_dir, run, masks), StepLogs(masks), _View(self), self._warn)

    def _warn(self, text: str) -> None:
        self._take(events.Note(time.time(), text, "warning"))

    def _take(self, event: Event) -> None:
        """Keep an event for the caller, and the first failure for the result."""
        if self._failure is None:
            self._failure = _failure(event)
        with self._news:
            self._events.append(event)
        self._wake()

    def _wake(self, *, is_over: bool = False) -> None:
        with self._news:
            self._is_over = self._is_over or is_over
            self._news.notify_all()
            waiting, self._waiting = self._waiting, []
        for loop, news in waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_settle, news)

    def _result(self) -> Result:
        if self._raised is not None:
            raise self._raised
        assert self._outcome is not None
        finished, result = self._outcome.finished, self._outcome.result
        error = self._outcome.error
        if error is None and finished.exit_code:
            error = self._failure or StepFailed("the run did not end well")
        return Result(
            run=finished.run,
            exit_code=finished.exit_code,
            ran=finished.ran,
            reused=finished.reused,
            failed=finished.failed,
            blocked=finished.blocked,
            made=finished.made,
            unmade=finished.unmade,
            duration_s=finished.duration_s,
            images={} if result is None else {step: image for step, image in result.images.items() if image},
            error=error,
        )


class _View:
    """Passes the events of a run to its value."""

    def __init__(self, run: Run) -> None:
        self.on_event = run._take  # noqa: SLF001  one piece in two classes

    def close(self) -> None:
        """Nothing is held back."""


def _log_dir(tree: ReadTree) -> Path:
    return Path(tree.workspace) / tree.log_dir


def _settle(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def _failure(event: Event) -> StalkerError | None:
    """Return the error that an event reports of a step or an artifact, None for any other event."""
    match event:
        case events.StepFinished() if event.state in {"failed", "timeout"} and event.will_retry_in_s is None:
            lines = "\n".join(event.last_lines)
            brief = event.brief if str(event.step) in event.brief else f"{event.step}: {event.brief}"
            return StepFailed(brief, "\n".join(filter(None, (event.details, lines))), event.resolution)
        case events.ArtifactFinished() if event.state in {"failed", "unproven"}:
            brief = event.brief if str(event.artifact) in event.brief else f"{event.artifact}: {event.brief}"
            return StalkerError(brief, event.details, event.resolution)
    return None
