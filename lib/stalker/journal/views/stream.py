"""Where views write: a stream that may be a terminal, a pipe, or gone.

Two streams on one terminal share the knowledge of whether its line is unfinished, so that a message
never starts in the middle of a step's output.

Foreign bytes made harmless for a terminal.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import threading
import unicodedata
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TextIO

from stalker.model import events as ev
from stalker.model.escaping import shown

if TYPE_CHECKING:
    from stalker.model.events import Event


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
        """Return whether the last line lacks its end."""
        return self.line.is_unfinished

    @property
    def can_unicode(self) -> bool:
        """Return whether box drawing and check marks can be shown."""
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


_OF_PROGRAMS = (ev.StepOutput, ev.BaseProgress)
_OUTPUT = frozenset({"details", "resolution", "last_lines"})

_SEQUENCES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[\[(][0-9:;<=>?]*[ -/]*[@-~]?|\x1b.?", re.DOTALL
)
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_BEGUN = re.compile(r"(?:\r|\x1b(?:\[[0-9;:]{0,32})?)\Z")
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
RESET = "\x1b[0m"


def harmless(event: Event) -> Event:
    """Return an event for people: each text that is one line as `shown` gives it.

    What may be the output of a program (`details`, `last_lines`, progress) is left to `clean_line`.
    """
    if isinstance(event, _OF_PROGRAMS):
        return event
    changed: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, str) and field.name not in _OUTPUT and not value.isprintable():
            changed[field.name] = shown(value)
        elif isinstance(value, tuple) and field.name not in _OUTPUT:
            texts = tuple(shown(each) if isinstance(each, str) else each for each in value)
            if texts != value:
                changed[field.name] = texts
    return replace(event, **changed) if changed else event


def clean_line(text: str) -> str:
    """Return one line of text without escape sequences, control and invisible characters."""
    plain = _SEQUENCES.sub("", text).expandtabs(4)
    return "".join(char for char in plain if unicodedata.category(char)[0] != "C").rstrip()


def last_line(tail: bytes) -> str:
    """Return the last line that shows something, of the end of an output; progress bars count.

    A character that is still incomplete at the end is left out.
    """
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(tail)
    for line in reversed(re.split(r"[\r\n]+", text)):
        clean = clean_line(line)
        if clean.strip():
            return clean.strip()
    return ""


class Defuser:
    """Turns a stream of bytes into text that a terminal can show.

    UTF-8, with U+FFFD for what is none. Newlines, tabs and colours stay; a carriage return becomes a
    newline, so a progress bar becomes lines; every other control character is shown as `^X`, or by
    its number. What may go on in the next piece is held back: at most 35 characters.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._is_coloured = False

    def feed(self, data: bytes) -> str:
        """Take the next piece and return what can be shown."""
        text = self._held + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        self._held = begun.group() if begun else ""
        return self._defused(text[: len(text) - len(self._held)])

    def flush(self) -> str:
        """Return what was held back, and end the colours."""
        text = self._defused(self._held + self._decoder.decode(b"", final=True))
        self._held = ""
        end = RESET if self._is_coloured else ""
        self._is_coloured = False
        return text + end

    def _defused(self, text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        parts = []
        done = 0
        for colour in _SGR.finditer(text):
            parts += [_UNSAFE.sub(_shown, text[done : colour.start()]), colour.group()]
            self._is_coloured = True
            done = colour.end()
        parts.append(_UNSAFE.sub(_shown, text[done:]))
        return "".join(parts)


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
