"""Where views write: a stream that may be a terminal, a pipe, or gone.

Two streams on one terminal share the knowledge of whether its line is unfinished, so that a message
never starts in the middle of a step's output.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TextIO


class Line:
    """The state of a terminal's last line."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_unfinished = False


class Sink:
    """A stream to write to from several threads; once it is closed at the other end, writing is nothing."""

    def __init__(self, stream: TextIO, together: Sink | None = None) -> None:
        """Take a stream; `together` is another one that may be shown on the same terminal."""
        self.stream = stream
        self.is_terminal = _is_terminal(stream)
        is_shared = together is not None and together.is_terminal and self.is_terminal
        self.line: Line = together.line if together is not None and is_shared else Line()
        self._is_gone = False

    def write_line(self, text: str) -> None:
        """Write whole lines; what stands unfinished is ended first."""
        with self.line.lock:
            start = "\n" if self.line.is_unfinished else ""
            self._put(self.encoded(f"{start}{text}\n"))
            self.line.is_unfinished = False

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        if data:
            with self.line.lock:
                self._put(data)
                self.line.is_unfinished = not data.endswith(b"\n")

    def encoded(self, text: str) -> bytes:
        """Return text as this stream's bytes; what its encoding lacks is written by number."""
        return text.encode(self._encoding, "backslashreplace")

    @property
    def is_unfinished(self) -> bool:
        """Say whether the last line lacks its end."""
        return self.line.is_unfinished

    @property
    def can_unicode(self) -> bool:
        """Say whether box drawing and check marks can be shown."""
        return self._encoding.lower().replace("-", "") == "utf8"

    @property
    def _encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def _put(self, data: bytes) -> None:
        if self._is_gone:
            return
        try:
            buffer = getattr(self.stream, "buffer", None)
            if buffer is None:
                self.stream.write(data.decode(self._encoding, "replace"))
            else:
                self.stream.flush()
                buffer.write(data)
            self.stream.flush()
        except BlockingIOError:  # a terminal that another program left non-blocking: this piece is lost
            return
        except (OSError, ValueError) as error:
            self._is_gone = True
            # That the reader of a pipe has gone (`stalker run ... | head`) is not a loss.
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                with contextlib.suppress(AttributeError):
                    self.stream.problem = error  # type: ignore[attr-defined]  # of `cli.streams`


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
