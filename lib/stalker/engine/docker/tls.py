"""TLS over a socket whose two directions are used at a time by two threads, and end apart.

Python's own TLS sockets can do neither: one object must not be used by two threads at once, and a
shutdown ends both directions or fails when the other side still has something to say.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

CHUNK = 1 << 16


def tls_socket(context: Any, connection: socket.socket, host: str) -> Any:
    """Shake hands and return what is used as a socket. Raises OSError."""
    try:
        return _Tls(context, connection, host)
    except BaseException:
        connection.close()
        raise


class _Tls:
    """What a socket is, as far as streams need it. One thread may receive while another one sends."""

    def __init__(self, context: Any, connection: socket.socket, host: str) -> None:
        import ssl  # only for engines behind TLS

        self._connection = connection
        self._wants_more = ssl.SSLWantReadError
        self._closed = ssl.SSLZeroReturnError
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._read = b""
        self._state = threading.Lock()
        self._sending = threading.Lock()
        self.fileno = connection.fileno
        self.close = connection.close
        while True:
            try:
                self._tls.do_handshake()
                break
            except self._wants_more:
                self._flush()
                self._fill()
        self._flush()

    def pending(self) -> int:
        """Return how many bytes have come that do not show on the descriptor."""
        with self._state:
            return len(self._read) + int(self._tls.pending() + self._incoming.pending)

    def recv(self, most: int) -> bytes:
        """Return what came, nothing at the end."""
        while True:
            with self._state:
                if self._read:
                    data, self._read = self._read[:most], self._read[most:]
                    return data
                try:
                    return bytes(self._tls.read(most))
                except self._wants_more:
                    if self._incoming.eof:
                        return b""
                except self._closed:
                    return b""
            self._fill()

    def _fill(self) -> None:
        data = self._connection.recv(CHUNK)
        with self._state:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            with self._state:
                view = view[self._tls.write(view[:CHUNK]) :]
            self._flush()

    def _flush(self) -> None:
        # Not while holding the state: who receives must be able to go on while the other side does not read.
        with self._sending:
            with self._state:
                data = self._outgoing.read()
            self._connection.sendall(data)

    def shutdown(self, how: int) -> None:
        """End one direction or both."""
        if how != socket.SHUT_WR:
            self._connection.shutdown(how)
            return
        with self._state:
            # What has come must be out of the way: it is an error after a farewell.
            with contextlib.suppress(self._wants_more, self._closed):
                while data := self._tls.read(CHUNK):
                    self._read += data
            with contextlib.suppress(self._wants_more, self._closed):
                self._tls.unwrap()  # it says farewell, and then misses that of the other side
        self._flush()
