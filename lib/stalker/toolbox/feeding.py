"""A program in a container that is fed what comes, while others are fed too.

Where the engine runs on this kernel, a named pipe in a directory that both sides see carries the input: an
engine would carry it through several processes, which costs as much as what the program does with it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import queue
import secrets
import select
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Data = bytes | memoryview
    Execute = Callable[[Sequence[str], Iterable[Data] | None], int | None]

PIPE_BYTES = 1 << 20
POLL_S = 0.01
STUCK_MS = 200
QUEUE_PIECES = 16
BATCH_BYTES = 1 << 18
BATCH_PIECES = 1000
"""The system takes at most 1024 at a time."""


class Fed(threading.Thread):
    """A program that runs in a thread of its own; one that wants no more input is not an error."""

    def __init__(self, execute: Execute, argv: Sequence[str]) -> None:
        """Start it; `execute(argv, stdin)` runs a program to its end and returns its exit code."""
        super().__init__(name="stalker-fed", daemon=True)
        self._execute = execute
        self._argv = argv
        self._code: int | None = None
        self._error: BaseException | None = None
        self._pieces: queue.Queue[Data | None] = queue.Queue(QUEUE_PIECES)

    def run(self) -> None:
        """Run the program and keep how it ended."""
        try:
            self._code = self._execute(*self._call())
        except BaseException as error:  # noqa: BLE001  raised again by who waits for this thread
            self._error = error

    def _call(self) -> tuple[Sequence[str], Iterable[Data] | None]:
        return self._argv, iter(self._pieces.get, None)

    def write(self, data: Data) -> bool:
        """Feed it; False when it takes no more."""
        return self._put(bytes(data))

    def _put(self, piece: Data | None) -> bool:
        while self.is_alive():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=STUCK_MS / 1000)
                return True
        return False

    def end(self) -> None:
        """Give it the end of its input."""
        self._put(None)

    def wait(self) -> int | None:
        """Wait until it has ended and return its exit code. Raises what the engine raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._code


class PipeFed(Fed):
    """A program that is fed through a named pipe: `folder` of this host is `target` in its container."""

    def __init__(self, execute: Execute, argv: Sequence[str], folder: Path, target: str) -> None:
        super().__init__(execute, argv)
        self._path = folder / f".in-{secrets.token_hex(6)}"
        self._target = f"{target}/{self._path.name}"
        self._pipe: int | None = None
        self._held: list[Data] = []
        self._held_bytes = 0
        self._writable = select.poll()
        os.mkfifo(self._path, 0o600)
        self._path.chmod(0o666)  # who reads may be another user in there

    def _call(self) -> tuple[Sequence[str], Iterable[Data] | None]:
        return ["sh", "-c", 'in=$1; shift; exec "$@" <"$in"', "sh", self._target, *self._argv], None

    def write(self, data: Data) -> bool:
        """Feed it, now or with what comes next; False when it takes no more."""
        self._held.append(data)
        self._held_bytes += len(data)
        return (self._held_bytes < BATCH_BYTES and len(self._held) < BATCH_PIECES) or self._flush()

    def _flush(self) -> bool:
        """Write what is held in one go: a tar is many small pieces, and each call costs as much as 16 KiB."""
        held, self._held, self._held_bytes = self._held, [], 0
        if self._pipe is None and not self._open():
            return False
        assert self._pipe is not None
        left = sum(map(len, held))
        while left:
            try:
                count = os.writev(self._pipe, held)
            except BlockingIOError:
                self._writable.poll(STUCK_MS)
                if not self.is_alive():
                    return False  # stopped while it did not read
                continue
            except BrokenPipeError:
                return False
            left -= count
            while count and count >= len(held[0]):
                count -= len(held.pop(0))
            if count:
                held[0] = memoryview(held[0])[count:]
        return True

    def _open(self) -> bool:
        """Open the pipe when the program has; say whether it did, for it may end without."""
        while True:
            try:
                self._pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if not self.is_alive():
                    return False
                time.sleep(POLL_S)
                continue
            with contextlib.suppress(OSError):  # more than a user may have
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._writable.register(self._pipe, select.POLLOUT)
            return True

    def end(self) -> None:
        """Give it the end of its input."""
        self._flush()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        self._path.unlink(missing_ok=True)
