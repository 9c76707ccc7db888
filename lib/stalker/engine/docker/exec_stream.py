"""The streams of an exec: what a program is fed, and what it writes.

docker-py hands out the connection's raw file while its header parser may have read the first bytes
of output already, it cannot be asked whether to stop, and it cannot end the input alone.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from stalker.engine.docker.http import CHUNK, connect, read_body, read_head, send, versioned, went_away
from stalker.engine.docker.tls import tls_socket
from stalker.errors import EngineError, NotThere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stalker.engine.docker.http import Address

    Take = Callable[[bytes, bool], None]
    Ask = Callable[[], bool]

POLL_S = 0.15
LINGER_S = 1.0
"""How long output is waited for behind the end of a program, when the stream does not end."""


def read_exec(
    address: Address, exec_id: str, on_output: Take, stop: Ask | None, is_over: Ask, *, tty: bool = False
) -> bool:
    """Start an exec and pass on what it writes; return False when `stop` said so.

    `tty` says that it was made with a terminal: all that it writes is one stream then.

    The stream stays open as long as any process holds it, also one that the script left behind, so
    when nothing has come for a while `is_over` is asked whether the program itself has ended.
    """
    connection, rest = _start_exec(address, exec_id, tty=tty)
    pieces = (_pieces if tty else _frames)(connection, rest)
    try:
        return _listen(pieces, on_output, stop, is_over)
    except OSError as error:
        raise went_away(address.url, error) from error
    finally:
        connection.close()


def feed_exec(
    address: Address,
    exec_id: str,
    stdin: Iterable[bytes | memoryview],
    on_output: Take,
    stop: Ask | None,
    is_over: Ask,
) -> bool:
    """Start an exec, send it `stdin` and then the end of its input; all else as `read_exec`.

    Its output is read by a thread of its own, where `on_output`, `stop` and `is_over` are called: a
    program may write much before it has read all. When it ends early, the rest is not sent.
    """
    line, rest = _start_exec(address, exec_id)
    listener = _Listener(line, lambda: _listen(_frames(line, rest), on_output, stop, is_over))
    listener.start()
    try:
        for data in stdin:
            if listener.has_ended or not _is_taken(line, data):
                break
        _end_of(line, socket.SHUT_WR)
    except BaseException:
        _end_of(line, socket.SHUT_RDWR)
        raise
    finally:
        listener.join()
        line.close()
    if isinstance(listener.error, ConnectionResetError) and is_over():
        # Podman ends a connection so on which input was left when its program ended; what that wrote has come.
        return True
    if isinstance(listener.error, OSError):
        raise went_away(address.url, listener.error) from listener.error
    if listener.error is not None:
        raise listener.error
    return listener.went_on


def _is_taken(line: _Line, data: bytes | memoryview) -> bool:
    """Send something; False when the other end is closed: the reader learns why."""
    try:
        line.sendall(data)
    except OSError:
        return False
    return True


def _listen(
    pieces: Iterable[tuple[bytes, bool] | None], on_output: Take, stop: Ask | None, is_over: Ask
) -> bool:
    quiet_since = time.monotonic()
    has_ended = False
    for piece in pieces:
        now = time.monotonic()
        if piece is not None:
            on_output(*piece)
            quiet_since = now
        if stop is not None and stop():
            return False
        if piece is not None or now - quiet_since <= (LINGER_S if has_ended else 2 * POLL_S):
            continue
        if has_ended:
            return True  # another reader holds the stream
        # What it wrote last may still be on its way: an engine that is busy carries it after it has seen the end.
        has_ended = is_over()
        quiet_since = now
    return True


class _Listener(threading.Thread):
    """Listens to a program that is being fed, and hangs up when it has heard all."""

    def __init__(self, line: _Line, listen: Callable[[], bool]) -> None:
        super().__init__(name="stalker-listen", daemon=True)
        self._line = line
        self._listen = listen
        self.went_on = False
        self.has_ended = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.went_on = self._listen()
        except BaseException as error:  # noqa: BLE001  raised again by who waits for this thread
            self.error = error
        finally:
            self.has_ended = True
            _end_of(self._line, socket.SHUT_RDWR)


class _Line(Protocol):
    """What of a socket is needed here."""

    def fileno(self) -> int: ...
    def recv(self, bufsize: int, /) -> bytes: ...
    def sendall(self, data: bytes | memoryview, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


def _end_of(line: _Line, how: int) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(how)


def _start_exec(address: Address, exec_id: str, *, tty: bool = False) -> tuple[Any, bytes]:
    """Start an exec and return the connection that is its streams, and what came of them already."""
    body = b'{"Detach":false,"Tty":true}' if tty else b'{"Detach":false,"Tty":false}'
    return _upgraded(address, f"/exec/{exec_id}/start", body, "the engine refused to start a program")


def attach_input(address: Address, container: str) -> Any:
    """Return a connection that is the input of a container's first process; it ends when that is closed.

    Raises NoEngine, NotThere, EngineError.
    """
    path = f"/containers/{container}/attach?stream=1&stdin=1"
    connection, _ = _upgraded(address, path, b"", "the engine refused to attach to a container")
    return connection


def _upgraded(address: Address, path: str, body: bytes, refused: str) -> tuple[Any, bytes]:
    """Make a request whose connection becomes a stream; return that, and what came of it already."""
    target = versioned(address, path)
    connection = connect(address, tls_socket)
    try:
        send(connection, "POST", target, body, ("Connection: Upgrade", "Upgrade: tcp"))
        status, headers, rest = read_head(connection)
        if status not in {101, 200}:
            said = read_body(connection, headers, rest).decode("utf-8", "replace").strip()
            raise (NotThere if status == 404 else EngineError)(refused, said)
    except OSError as error:
        connection.close()
        raise went_away(address.url, error) from error
    except EngineError:
        connection.close()
        raise
    return connection, rest


class FedShell:
    """A shell that was started by an exec with an open input."""

    def __init__(self, address: Address, exec_id: str) -> None:
        self._url = address.url
        self._connection, rest = _start_exec(address, exec_id)
        self._all_frames = _frames(self._connection, rest)

    def run(
        self,
        program: bytes,
        on_output: Callable[[bytes, bool], None],
        has_ended: Callable[[], bool],
        stop: Callable[[], bool],
    ) -> bool:
        """Feed it a program; see `interface.Shell`."""
        try:
            self._connection.sendall(program)
            for frame in self._all_frames:
                if frame is not None:
                    on_output(*frame)
                    if has_ended():
                        return True
                if stop():
                    return False
        except OSError as error:
            raise went_away(self._url, error) from error
        return False

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _frames(line: _Line, rest: bytes) -> Iterator[tuple[bytes, bool] | None]:
    """Yield (data, is_stderr), or None each time nothing came for a moment; ends with the stream.

    A frame is passed on as it comes, also in parts: 8 bytes of header (stream, length), then data.
    """
    left = 0
    is_stderr = False
    buffer = b""
    for piece in _pieces(line, rest):
        if piece is None:
            yield None
            continue
        buffer += piece[0]
        while buffer:
            if left:
                data, buffer = buffer[:left], buffer[left:]
                left -= len(data)
                yield data, is_stderr
            elif len(buffer) >= 8:
                is_stderr = buffer[0] == 2
                left = int.from_bytes(buffer[4:8], "big")
                buffer = buffer[8:]
            else:
                break


def _pieces(line: _Line, rest: bytes) -> Iterator[tuple[bytes, bool] | None]:
    """Yield (data, False) as it comes, or None each time nothing came for a moment; ends with the stream."""
    if rest:
        yield rest, False
    readable = select.poll()  # select.select() knows no descriptor above 1023
    readable.register(line.fileno(), select.POLLIN)
    while True:
        # What TLS has decrypted already does not show on the descriptor.
        has_more = getattr(line, "pending", int)()
        if not has_more and not readable.poll(POLL_S * 1000):
            yield None
            continue
        data = line.recv(CHUNK)
        if not data:
            return
        yield data, False
