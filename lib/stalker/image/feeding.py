"""What a tool in a container is fed, through a named pipe in a folder that both sides see.

An engine carries the input of an exec through several processes, which costs as much as the tool itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import select
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PIPE_BYTES = 1 << 20
POLL_S = 0.01
STUCK_MS = 200


def feed(
    folder: Path,
    target: str,
    argv: Sequence[str],
    stdin: Iterable[bytes | memoryview],
    execute: Callable[[Sequence[str]], int | None],
) -> int | None:
    """Let `execute` run a program whose input is `stdin`; return what it returns.

    `folder` is `target` in the container. What `stdin` raises comes out; the program then sees the end of
    its input too early, so its container has to go. Of a program that ends early the rest is not read.
    """
    pipe = folder / f".in-{secrets.token_hex(6)}"
    os.mkfifo(pipe, 0o600)
    pipe.chmod(0o666)  # who reads may be another user in there
    runner = _Runner(
        lambda: execute(["sh", "-c", 'in=$1; shift; exec "$@" <"$in"', "sh", f"{target}/{pipe.name}", *argv])
    )
    try:
        runner.start()
        try:
            writer = _opened(pipe, runner)
            if writer is not None:
                _write_all(writer, stdin, runner)
        finally:
            _free(pipe)
            runner.join()
    finally:
        pipe.unlink()
    if runner.error is not None:
        raise runner.error
    return runner.code


class _Runner(threading.Thread):
    """Runs the program while it is fed."""

    def __init__(self, execute: Callable[[], int | None]) -> None:
        super().__init__(name="stalker-feed", daemon=True)
        self._execute = execute
        self.code: int | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run it and keep how it ended."""
        try:
            self.code = self._execute()
        except BaseException as error:  # noqa: BLE001  raised again by who waits for this thread
            self.error = error


def _opened(pipe: Path, runner: _Runner) -> int | None:
    """Open the pipe when the program has; None when it ended without."""
    while True:
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if not runner.is_alive():
                return None
            time.sleep(POLL_S)
            continue
        with contextlib.suppress(OSError):  # more than a user may have
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return writer


def _write_all(writer: int, stdin: Iterable[bytes | memoryview], runner: _Runner) -> None:
    """Write and close; a program that does not want it all is no error."""
    writable = select.poll()
    writable.register(writer, select.POLLOUT)
    try:
        for data in stdin:
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(writer, view) :]
                except BlockingIOError:
                    writable.poll(STUCK_MS)
                    if not runner.is_alive():
                        return  # stopped while it did not read
                except BrokenPipeError:
                    return
    finally:
        os.close(writer)


def _free(pipe: Path) -> None:
    """Let go a program that still waits for somebody to open its pipe."""
    with contextlib.suppress(OSError):
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
