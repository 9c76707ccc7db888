"""Streams for views: a pipe that is remembered, and a terminal that is looked at."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
import threading

import pyte


class Pipe(io.TextIOWrapper):
    """What was written, as bytes."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    @property
    def data(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()

    @property
    def text(self) -> str:
        return self.data.decode(self.encoding)


class FakeTerminal(Pipe):
    """A pipe that says that it is a terminal."""

    def isatty(self):
        return True


class Terminal:
    """A pseudo-terminal of a given size; `show` waits till all that was written is on the screen."""

    def __init__(self, columns, lines):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.raw = b""
        self._marks = 0
        self._seen = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def resize(self, columns, lines):
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def show(self):
        """Return the lines of the screen, without empty ones at the end."""
        self._marks += 1
        self.stream.write(f"\x1b]2;mark {self._marks}\x07")
        self.stream.flush()
        with self._seen:
            assert self._seen.wait_for(lambda: self.screen.title == f"mark {self._marks}", timeout=10)
            return "\n".join(line.rstrip() for line in self.screen.display).rstrip().splitlines()

    def close(self):
        self.stream.close()
        self._thread.join(10)
        os.close(self.master)

    def _read(self):
        feed = pyte.ByteStream(self.screen)
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            with self._seen:
                self.raw += data
                feed.feed(data)
                self._seen.notify_all()
