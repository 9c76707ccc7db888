"""A server on a Unix socket that answers as an engine does, or as something else."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"
"""What an engine answers to a ping."""


@contextlib.contextmanager
def answering_socket(path: Path, answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """Give the URL of a server that answers each request by `answer`; None: it never does."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    silent: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            said = answer(caller.recv(1 << 16))
            if said is None:
                silent.append(caller)
                continue
            caller.sendall(said)
            caller.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for caller in silent:
            caller.close()
