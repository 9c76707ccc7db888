"""A program in a container that talks to our terminal, or to our pipes.

In a terminal the container has a terminal of its own (a pty) and ours is raw: each key goes there
unread, Ctrl-C too, and what comes back is shown as it is. The size is sent at the start and whenever
our window changes. Ours is as it was before when this is over, however it ends.

In pipes nothing is changed on the way: standard input goes in and is closed at its end, so that
`sort` and `cat` end; output and errors come out apart.

Reading and writing are one loop that never waits for one direction only: a program that writes while
is not read stops reading, and would block us for ever.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from stalker.engine.docker import http
from stalker.errors import EngineError, Interrupted, NotThere

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from stalker.engine.docker.adapter import DockerEngine

CHUNK = 1 << 16
QUIET_S = 1.0
"""After so long without output the engine is asked whether the program has ended: what it left in the
background may keep the stream open."""

ENDING_S = 5.0
"""How long the engine may take to know the exit code after it closed the stream."""

STOPPING_S = 0.5
"""How long a container may take to be seen as stopped after its programs were killed."""

POLL_S = 0.02
KILLED = 137
"""What the engine gives for a program that was killed: 128 + SIGKILL."""

DETACH_KEYS = "ctrl-@,ctrl-^,ctrl-@,ctrl-_,ctrl-@"
"""The engine leaves a program on Ctrl-P Ctrl-Q and holds back every Ctrl-P for that, which shells and
editors need. It cannot be turned off, so it is one that is never typed."""

RESIZE_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""An engine refuses a size as long as the program has not quite started."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run in which container; an empty `user` or `workdir` means the container's own."""

    container: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""


def run_in_terminal(engine: DockerEngine, program: Program, *, stdin: int, stdout: int) -> int:
    """Run a program with the terminal that `stdin` and `stdout` are; return its exit code.

    Must be called in the main thread, which alone hears of a changed window.

    Raises:
        Interrupted: the terminal went away.
        EngineError: the engine refused, or the container was removed. NoEngine: it went away.
    """
    exec_id = _create(engine, program, tty=True)
    with _started(engine, exec_id, tty=True) as (connection, first):
        resizer = _Resizer(engine, exec_id, stdout)
        with _raw(stdin), _window_changes(resizer):
            _converse(
                engine, exec_id, connection, first, stdin, lambda data: _write(stdout, data), is_terminal=True
            )
    return _exit_code(engine, program.container, exec_id)


def run_in_pipes(
    engine: DockerEngine, program: Program, *, stdin: int | None, stdout: int, stderr: int
) -> int:
    """Run a program with our standard streams; return its exit code. `stdin` None is empty input.

    Raises:
        EngineError: the engine refused, or the container was removed. NoEngine: it went away.
        BrokenPipeError: `stdout` is closed.
    """
    exec_id = _create(engine, program, tty=False)
    split = _Split(stdout, stderr)
    with _started(engine, exec_id, tty=False) as (connection, first):
        _converse(engine, exec_id, connection, first, stdin, split.feed)
    return _exit_code(engine, program.container, exec_id)


def _create(engine: DockerEngine, program: Program, *, tty: bool) -> str:
    client = engine._client  # noqa: SLF001  the adapter's other half
    with engine._translated("run a program in a container"):  # noqa: SLF001
        made = client.exec_create(
            program.container,
            list(program.argv),
            environment=dict(program.environment),
            user=program.user,
            workdir=program.workdir or None,
            stdin=True,
            tty=tty,
            detach_keys=DETACH_KEYS if tty else None,
        )
    return str(made["Id"])


@contextlib.contextmanager
def _started(engine: DockerEngine, exec_id: str, *, tty: bool) -> Iterator[tuple[socket.socket, bytes]]:
    """Start an exec on a connection of its own; yield it with the first output."""
    target = http.versioned(engine.address, f"/exec/{exec_id}/start")
    connection = http.connect(engine.address)
    try:
        body = b'{"Detach":false,"Tty":true}' if tty else b'{"Detach":false,"Tty":false}'
        upgrade = ("Connection: Upgrade", "Upgrade: tcp")
        http.send(connection, "POST", target, body, upgrade)
        status, headers, rest = http.read_head(connection)
        if status not in {101, 200}:
            said = http.read_body(connection, headers, rest).decode("utf-8", "replace").strip()
            raise EngineError("the engine refused to start a program", said)
    except OSError as error:
        connection.close()
        raise http.went_away(engine.address.url, error) from error
    except EngineError:
        connection.close()
        raise
    with contextlib.closing(connection):
        yield connection, rest


def _converse(
    engine: DockerEngine,
    exec_id: str,
    connection: socket.socket,
    first: bytes,
    stdin: int | None,
    pass_on: Callable[[bytes], None],
    *,
    is_terminal: bool = False,
) -> None:
    """Pass on both ways until the program's output ends."""
    connection.setblocking(False)
    if first:
        pass_on(first)
    outgoing = b""
    is_ending = stdin is None
    if is_ending:
        _close_input(connection)
    quiet_since_s = time.monotonic()
    while True:
        wants_input = stdin is not None and not is_ending and not outgoing
        readers: list[Any] = [connection, stdin] if wants_input else [connection]
        readable, writable, _ = select.select(readers, [connection] if outgoing else [], [], QUIET_S)
        if connection in readable:
            data = _receive(connection)
            if data == b"":
                return
            if data:
                pass_on(data)
                quiet_since_s = time.monotonic()
        if stdin in readable and stdin is not None:
            outgoing = _read(stdin)
            if not outgoing and is_terminal:
                raise Interrupted("the terminal went away")
            if not outgoing:
                is_ending = True
                _close_input(connection)
        if connection in writable:
            sent = _send(connection, outgoing)
            is_ending = is_ending or sent is None
            outgoing = outgoing[sent:] if sent is not None else b""
        if time.monotonic() - quiet_since_s > QUIET_S and not readable:
            if not _is_running(engine, exec_id):
                return
            quiet_since_s = time.monotonic()


def _receive(connection: socket.socket) -> bytes | None:
    """Return what came, empty at the end, None when it was nothing yet."""
    try:
        return connection.recv(CHUNK)
    except OSError as error:
        if _would_block(error):
            return None
        return b""  # whether the engine is gone is seen when it is asked for the exit code


def _send(connection: socket.socket, data: bytes) -> int | None:
    """Return how many bytes were taken, None when the other end is closed."""
    try:
        return connection.send(data)
    except OSError as error:
        return 0 if _would_block(error) else None


def _would_block(error: OSError) -> bool:
    # By name: importing ssl takes 10 ms, and its errors come only where it is there already.
    return isinstance(error, BlockingIOError) or type(error).__name__ in {
        "SSLWantReadError",
        "SSLWantWriteError",
    }


def _close_input(connection: socket.socket) -> None:
    """Say that no more input comes, and go on reading."""
    import socket

    with contextlib.suppress(OSError):
        # Not `connection.shutdown`: behind TLS that would end the reading side's decryption too.
        socket.socket.shutdown(connection, socket.SHUT_WR)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK)
    except OSError:
        return b""  # a terminal that was hung up says EIO


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


class _Split:
    """Takes the engine's frames apart: 8 bytes of header (stream, length), then data."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._outputs = {1: stdout, 2: stderr}
        self._target = stdout
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> None:
        """Take some of the stream, cut anywhere."""
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                _write(self._target, part)
                continue
            missing = 8 - len(self._head)
            self._head, data = self._head + data[:missing], data[missing:]
            if len(self._head) == 8:
                self._target = self._outputs.get(self._head[0], self._outputs[1])
                self._left = int.from_bytes(self._head[4:], "big")
                self._head = b""


def _inspect(engine: DockerEngine, exec_id: str) -> tuple[bool, int | None]:
    """Return whether a program runs, and its exit code."""
    client = engine._client  # noqa: SLF001
    try:
        with engine._translated("see how a program fares"):  # noqa: SLF001
            found = client.exec_inspect(exec_id)
    except NotThere as error:
        raise _removed() from error
    return bool(found["Running"]), found["ExitCode"]


def _is_running(engine: DockerEngine, exec_id: str) -> bool:
    return _inspect(engine, exec_id)[0]


def _exit_code(engine: DockerEngine, container: str, exec_id: str) -> int:
    """Return the exit code of a program whose output has ended.

    Raises:
        EngineError: it did not end by itself, its container was stopped.
    """
    until_s = time.monotonic() + ENDING_S
    while True:
        is_running, code = _inspect(engine, exec_id)
        if not is_running:
            break
        if time.monotonic() > until_s:
            raise EngineError("the engine closed the connection to a program that still runs")
        time.sleep(POLL_S)  # the stream ends a moment before the engine notes the exit
    if code is None or code == KILLED:
        _refuse_stopped(engine, container)
    return KILLED if code is None else code


def _refuse_stopped(engine: DockerEngine, container: str) -> None:
    """Raise EngineError when a container stops just now: its programs are killed before it is."""
    until_s = time.monotonic() + STOPPING_S
    while time.monotonic() < until_s:
        try:
            if not engine.state(container).is_running:
                raise _removed()
        except NotThere as error:
            raise _removed() from error
        time.sleep(POLL_S)


def _removed() -> EngineError:
    return EngineError(
        "the container was stopped under the program that ran in it",
        "somebody else did that, or a clean-up of the engine, or memory ran out",
    )


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Pass on keys unread, and put the terminal back as it was."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        with contextlib.suppress(termios.error):  # it went away
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window_changes(resizer: _Resizer) -> Iterator[None]:
    """Tell the size now and at each change."""
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: resizer.tell())
    try:
        resizer.tell()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        resizer.close()


class _Resizer:
    """Gives the container's terminal the size of ours, next to the conversation."""

    def __init__(self, engine: DockerEngine, exec_id: str, terminal: int) -> None:
        self._engine = engine
        self._exec_id = exec_id
        self._terminal = terminal
        # A signal handler may put into this kind of queue at any moment; others could lock up.
        self._sizes: SimpleQueue[os.terminal_size | None] = SimpleQueue()
        threading.Thread(target=self._work, name="stalker-resize", daemon=True).start()

    def tell(self) -> None:
        """Pass on the size that our terminal has now."""
        with contextlib.suppress(OSError):
            self._sizes.put(os.get_terminal_size(self._terminal))

    def close(self) -> None:
        """Tell no more; does not wait."""
        self._sizes.put(None)

    def _work(self) -> None:
        while (size := self._sizes.get()) is not None:
            if not (size.lines and size.columns):
                continue
            for pause_s in RESIZE_PAUSES_S:
                time.sleep(pause_s)
                try:
                    client = self._engine._client  # noqa: SLF001
                    with self._engine._translated("resize a terminal"):  # noqa: SLF001
                        client.exec_resize(self._exec_id, height=size.lines, width=size.columns)
                except EngineError:
                    continue  # a wrong size is not a reason to end a shell
                break
