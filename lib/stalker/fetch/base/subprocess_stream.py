"""Programs of this system whose output is passed on as it comes."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from stalker.errors import InputError
from stalker.io.hashing import CHUNK_BYTES

_LAST_LINES = 20
_PATIENCE_S = 10.0


def program_output(
    argv: Sequence[str],
    *,
    what: str,
    resolution: str,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> Generator[bytes, None, None]:
    """Run a program and yield what it writes to stdout; `on_line` hears each line of stderr.

    The program leads a process group of its own, which is gone when the generator is closed or ends.

    Raises:
        InputError: it ended with another exit code than 0, said after its last byte of output, with
            its last lines of stderr as details; or it is not installed.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else {**os.environ, **environment},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise InputError(f"{argv[0]} is not installed", str(error), f"apt-get install {argv[0]}") from error
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def heard(line: str) -> None:
        if line.strip():
            last.append(line)
            on_line(line)

    try:
        yield from _read_both(process, heard)
        code = process.wait()
    finally:
        _stop(process)
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise InputError(f"{what}: {argv[0]} {how}", "\n".join(last), resolution)


def _read_both(process: subprocess.Popen[bytes], heard: Callable[[str], None]) -> Iterator[bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, CHUNK_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    yield data
                else:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        heard(line.rpartition(b"\r")[2].decode("utf-8", "replace"))
    heard(rest.decode("utf-8", "replace"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started: asked first, so that it can clean up, then forced."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        # A program that is blocked writing to us ends only when its pipe is closed.
        _close(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
