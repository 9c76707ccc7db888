"""How far downloads are: bytes, rate, and the time that is left, for each and for all of them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from stalker.fetch.files import Progress

MEGABYTE = 1_000_000
WINDOW_S = 10.0
"""A rate is that of the last ten seconds: long enough to be steady, short enough to be true."""

TOLD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Moving:
    """How far a download is, or all of them together; `total_bytes` is None while a size is not known."""

    name: str
    size_bytes: int
    total_bytes: int | None
    rate_bytes_s: float
    is_done: bool = False

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate; None when that cannot be said."""
        if self.total_bytes is None or self.rate_bytes_s <= 0:
            return 0.0 if self.is_done else None
        return max(0, self.total_bytes - self.size_bytes) / self.rate_bytes_s

    def __str__(self) -> str:
        total = "" if self.total_bytes is None else f" of {self.total_bytes / MEGABYTE:.0f}"
        rate = f", {self.rate_bytes_s / MEGABYTE:.1f} MB/s" if self.rate_bytes_s else ""
        left = self.left_s
        rest = "" if left is None or self.is_done else f", {_span(left)} left"
        return f"{self.name}: {self.size_bytes / MEGABYTE:.0f}{total} MB{rate}{rest}"


class Rate:
    """Bytes a second over the last `WINDOW_S`."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, size_bytes: int, now_s: float) -> float:
        """Note how many bytes are there by now, and return the rate; 0 before it can be said."""
        seen = self._seen
        if seen and size_bytes < seen[-1][1]:
            seen.clear()  # it started over
        if len(seen) < 2 or now_s - seen[-1][0] >= WINDOW_S / 100:
            seen.append((now_s, size_bytes))
        while len(seen) > 2 and now_s - seen[1][0] >= WINDOW_S:
            seen.popleft()
        passed_s = now_s - seen[0][0]
        return (size_bytes - seen[0][1]) / passed_s if passed_s > 0 else 0.0


class Teller:
    """Tells one line a second of one download."""

    def __init__(self, name: str, say: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._say = say
        self._clock = clock
        self._rate = Rate()
        self._told_s = clock()

    def moved(self, size_bytes: int, total_bytes: int | None) -> None:
        """Hear of bytes."""
        now_s = self._clock()
        rate = self._rate.take(size_bytes, now_s)
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._say(str(Moving(self._name, size_bytes, total_bytes, rate)))


@dataclass
class _One:
    name: str
    rate: Rate = field(default_factory=Rate)
    last: Moving | None = None


class Meter:
    """Adds up several downloads at once; its methods are called from their threads.

    `on_moving` hears of one download and of all together, never from two threads at once.
    """

    def __init__(
        self,
        on_moving: Callable[[Moving, Moving], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_moving = on_moving
        self._clock = clock
        self._lock = threading.Lock()
        self._ones: dict[int, _One] = {}
        self._rate = Rate()

    def expect(self, names: list[str]) -> None:
        """Take the names of all downloads; the total is known once all their sizes are."""
        with self._lock:
            self._ones = {number: _One(name) for number, name in enumerate(names)}

    def moved(self, number: int, size_bytes: int, total_bytes: int | None, *, is_done: bool = False) -> None:
        """Hear of bytes of the download `number`."""
        with self._lock:
            now_s = self._clock()
            one = self._ones[number]
            rate = one.rate.take(size_bytes, now_s)
            one.last = Moving(one.name, size_bytes, total_bytes, rate, is_done)
            lasts = [other.last for other in self._ones.values()]
            there = sum(last.size_bytes for last in lasts if last)
            totals = [last.total_bytes if last else None for last in lasts]
            total = None if None in totals else sum(size for size in totals if size is not None)
            is_all = all(last is not None and last.is_done for last in lasts)
            whole = Moving("all", there, total, self._rate.take(there, now_s), is_all)
            self._on_moving(one.last, whole)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
