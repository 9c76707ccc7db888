"""How often and how long a server is waited for: the one rule for questions and downloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stalker.fetch.http.stop import Stop

LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How many times a failed request is repeated, and how long an answer may take."""

    retries: int = 5
    timeout_s: float = 30.0
    pause: Callable[[float], object] | None = None
    """Waits; None: until the time is over or the transfer is stopped."""

    def pause_s(self, failures: int, asked_s: float = 0.0) -> float:
        """Return the pause after so many failures: 1, 2, 4, ... seconds, or longer if the server asked for it."""
        return min(max(2.0 ** (failures - 1), asked_s), LONGEST_PAUSE_S)

    def wait(self, seconds: float, stop: Stop) -> None:
        """Wait, until the time is over or the transfer is stopped."""
        (self.pause or stop.wait)(seconds)
