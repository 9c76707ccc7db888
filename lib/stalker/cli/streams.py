r"""The standard streams of the program: nothing foreign reaches a terminal, no encoding fails, no loss is silent.

What is known to be foreign is escaped where tables and messages are put together (`model.escaping`). What
passes that by is caught here: control characters other than our own colours, and characters that turn the
direction of writing. They are written as `\u001b`, which is valid in JSON too.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from typing import Any, TextIO

_OURS = r"\x1b\[[0-9;]*m|\x1b\[K|\A\r|\r\Z"
"""Colours, and what draws a line of progress again."""

_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
_ON_TERMINAL = re.compile(f"({_OURS})|{_UNSAFE}")
_ELSEWHERE = re.compile(_UNSAFE)


class SafeStream(io.TextIOWrapper):
    """A text stream over the bytes of another one.

    Nothing is raised when something cannot be written: a run goes on without a reader. `problem` is why
    some of it is lost, None where the reader of a pipe has gone (`stalker images | head`): no fault of ours.
    """

    def __init__(self, stream: Any) -> None:
        """Write in the encoding of `stream`; what that lacks is written by its number."""
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self.unescaped: TextIO = stream
        """For who draws on the terminal and has escaped what is foreign."""
        self.problem: OSError | None = None
        self._has_reader = True
        self._unsafe = _ON_TERMINAL if stream.isatty() else _ELSEWHERE

    def write(self, text: str) -> int:
        """Write text; return how much of it was taken: all."""
        if self._has_reader:
            with self._losses():
                super().write(text if text.isascii() and text.isprintable() else self._escaped(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._losses():
            super().flush()

    def _escaped(self, text: str) -> str:
        return self._unsafe.sub(lambda found: found[1] if found.lastindex else _numbered(found[0]), text)

    @contextlib.contextmanager
    def _losses(self) -> Any:
        try:
            yield
        except BrokenPipeError:
            self._has_reader = False
        except BlockingIOError:  # a terminal that another program left non-blocking
            return
        except OSError as error:
            self.problem = self.problem or error


def guard_streams() -> None:
    """Put safe streams in place of the standard ones; a program that embeds this keeps its own."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not isinstance(sys.stdout, SafeStream):
        sys.stdout = SafeStream(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper) and not isinstance(sys.stderr, SafeStream):
        sys.stderr = SafeStream(sys.stderr)


def _numbered(char: str) -> str:
    return f"\\u{ord(char):04x}"
