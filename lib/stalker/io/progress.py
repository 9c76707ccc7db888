"""Progress of long work: tasks of which bytes are counted, and the reporter that is notified of them.

A use case gets a `Reporter`. It makes a `Task` of each long piece of its work and gives `task.add` to what moves
the bytes; `Group` is several tasks at once, such as downloads, that also count together.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from stalker.io.units import duration_text, size_text

Say = Callable[[str], None]
"""Is called with a line of text for people."""

WINDOW_S = 10.0
"""A rate is that of the last ten seconds: long enough to be steady, short enough to be true."""

LINE_EVERY_S = 1.0


class Reporter(Protocol):
    """What a use case reports to. Its methods may be called from any thread."""

    def say(self, text: str) -> None:
        """Report a line of text."""

    def moved(self, task: Task) -> None:
        """Report how far a task is: at its start, and after each piece, so the call has to be cheap."""

    def check(self) -> None:
        """Raise Interrupted when the user has asked to stop."""


class Silent:
    """A reporter that reports nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def moved(self, task: Task) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing."""


class Task:
    """A piece of work of which bytes are counted; `total_bytes` is None while its size is not known."""

    def __init__(
        self,
        name: str,
        reporter: Reporter,
        total_bytes: int | None = None,
        *,
        group: Group | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.done_bytes = 0
        self.total_bytes = total_bytes
        self.is_done = False
        self.group = group
        self.rate_bytes_s = 0.0
        self._reporter = reporter
        self._clock = clock
        self._rate = Rate()
        reporter.moved(self)

    def add(self, count: int) -> None:
        """Count more bytes. Raises Interrupted when the user has asked to stop."""
        self.move(self.done_bytes + count, self.total_bytes)

    def move(self, done_bytes: int, total_bytes: int | None) -> None:
        """Take how many bytes are done by now; fewer than before when the work started over."""
        self.done_bytes, self.total_bytes = done_bytes, total_bytes
        self.rate_bytes_s = self._rate.take(done_bytes, self._clock())
        self._report()

    def end(self, size_bytes: int) -> None:
        """Take that all is done, and how much it was."""
        self.is_done = True
        self.move(size_bytes, size_bytes)

    def _report(self) -> None:
        self._reporter.check()
        if self.group is None:
            self._reporter.moved(self)
        else:
            self.group.add_up(self)

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate; None when that is not known."""
        if self.total_bytes is None or self.rate_bytes_s <= 0:
            return 0.0 if self.is_done else None
        return max(0, self.total_bytes - self.done_bytes) / self.rate_bytes_s

    def __str__(self) -> str:
        parts = []
        if self.total_bytes:
            parts.append(f"{min(100, 100 * self.done_bytes // self.total_bytes)}%")
            parts.append(
                f"{size_text(self.done_bytes)} of {size_text(max(self.total_bytes, self.done_bytes))}"
            )
        else:
            parts.append(size_text(self.done_bytes))
        if self.rate_bytes_s:
            parts.append(f"{size_text(round(self.rate_bytes_s))}/s")
        if self.left_s:
            parts.append(f"{duration_text(self.left_s)} left")
        return f"{self.name}: {', '.join(parts)}"


class Group(Task):
    """Several tasks at once, which move in threads of their own; its size is known once all of theirs are."""

    def __init__(
        self,
        name: str,
        parts: Iterable[str],
        reporter: Reporter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self.parts: list[Task] = []
        super().__init__(name, reporter, clock=clock)
        self.parts = [Task(part, reporter, group=self, clock=clock) for part in parts]

    def add_up(self, part: Task) -> None:
        """Report a part and the whole, never from two threads at once."""
        with self._lock:
            totals = [one.total_bytes for one in self.parts]
            self.done_bytes = sum(one.done_bytes for one in self.parts)
            self.total_bytes = None if None in totals else sum(total for total in totals if total is not None)
            self.rate_bytes_s = self._rate.take(self.done_bytes, self._clock())
            self.is_done = all(one.is_done for one in self.parts)
            self._reporter.moved(self)
            self._reporter.moved(part)


class Lines(Silent):
    """A reporter that prints a line a second of what moves."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._printed_s = clock()

    def say(self, text: str) -> None:
        """Print a line."""
        self._say(text)

    def moved(self, task: Task) -> None:
        """Print how far it is, if the last line is old enough."""
        now_s = self._clock()
        if now_s - self._printed_s >= LINE_EVERY_S:
            self._printed_s = now_s
            self._say(str(task))


class Rate:
    """Bytes a second over the last `WINDOW_S`."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, size_bytes: int, now_s: float) -> float:
        """Note how many bytes are done by now, and return the rate; 0 while it is not known."""
        seen = self._seen
        if seen and size_bytes < seen[-1][1]:
            seen.clear()  # it started over
        if len(seen) < 2 or now_s - seen[-1][0] >= WINDOW_S / 100:
            seen.append((now_s, size_bytes))
        while len(seen) > 2 and now_s - seen[1][0] >= WINDOW_S:
            seen.popleft()
        passed_s = now_s - seen[0][0]
        return (size_bytes - seen[0][1]) / passed_s if passed_s > 0 else 0.0
