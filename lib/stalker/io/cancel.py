"""A request to stop, from any thread."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from stalker.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Cancel:
    """Stops the work that it is given to, once it is set; it stays set. Any thread may call its methods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._stops: list[Callable[[], None]] = []

    def set(self) -> None:
        """Request the stop; return at once."""
        with self._lock:
            self._is_set = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def is_set(self) -> bool:
        """Return whether the stop was requested."""
        return self._is_set

    def check(self) -> None:
        """Raise Interrupted if the stop was requested."""
        if self._is_set:
            raise Interrupted(
                "the run was cancelled", "what was committed stays", "the next run goes on from there"
            )

    @contextlib.contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` once if it is set meanwhile, at once if it is set already.

        `stop` is called from the thread that sets it, so it must be quick and must not raise.
        """
        with self._lock:
            is_set = self._is_set
            if not is_set:
                self._stops.append(stop)
        if is_set:
            stop()
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._stops.remove(stop)
