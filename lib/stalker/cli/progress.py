"""How far something long is, told on stderr with its rate and the time that is left."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field

from stalker.model.units import size_text


@dataclass(slots=True)
class Display:
    """How far it is, with rate and time left: one line that changes in a terminal, now and then one elsewhere."""

    is_terminal: bool = field(default_factory=sys.stderr.isatty)
    quiet_s: float = 0.0
    """Nothing is shown of what takes less."""

    _doing: str = ""
    _began_s: float = 0.0
    _shown_s: float = 0.0
    _is_open: bool = field(default=False)

    def adder(self, doing: str, total_bytes: int) -> _Adder:
        """Return what is told how many bytes more are done."""
        return _Adder(self, doing, total_bytes)

    def tell(self, doing: str, done_bytes: int, total_bytes: int | None) -> None:
        """Show how far it is, when that is worth a new line."""
        now_s = time.monotonic()
        if doing != self._doing:
            self.end()
            self._doing, self._began_s, self._shown_s = doing, now_s, 0.0
        every_s = 0.2 if self.is_terminal else 5.0
        if now_s - self._shown_s < every_s and done_bytes != total_bytes:
            return
        if now_s - self._began_s < self.quiet_s:
            return
        self._shown_s = now_s
        text = progress_text(doing, done_bytes, total_bytes, now_s - self._began_s)
        if self.is_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            print(f"\r{text[: width - 1]}\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line that changes."""
        if self._is_open:
            print(file=sys.stderr)
            self._is_open = False
        self._doing = ""


@dataclass(slots=True)
class _Adder:
    display: Display
    doing: str
    total_bytes: int
    done_bytes: int = 0

    def __call__(self, count: int) -> None:
        self.done_bytes += count
        self.display.tell(self.doing, self.done_bytes, self.total_bytes)


def progress_text(doing: str, done_bytes: int, total_bytes: int | None, spent_s: float) -> str:
    """Return `writing  45%  1.2 GB of 2.6 GB  23.4 MB/s  1 min 02 s left`, as much of it as is known."""
    rate = done_bytes / spent_s if spent_s > 0.5 else 0.0
    parts = [doing]
    if total_bytes:
        parts.append(f"{min(100, 100 * done_bytes // total_bytes)}%")
        parts.append(f"{size_text(done_bytes)} of {size_text(max(total_bytes, done_bytes))}")
    else:
        parts.append(size_text(done_bytes))
    if rate:
        parts.append(f"{size_text(round(rate))}/s")
    if rate and total_bytes and done_bytes < total_bytes:
        minutes, seconds = divmod(round((total_bytes - done_bytes) / rate), 60)
        parts.append(f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left")
    return "  ".join(parts)
