"""A word that ends downloads at once, also those that wait for a server that says nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from typing import Any

_OPENED = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


class Stop(threading.Event):
    """Set from any thread; connections that were made under it are shut down then."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._guard = threading.Lock()

    def set(self) -> None:
        """Say the word. Who waits for bytes wakes up; closing a socket would not do that."""
        super().set()
        with self._guard:
            found = list(self._sockets)
        for one in found:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hear of new connections, as the `trace` extension of a request tells of them (httpcore)."""
        if event in _OPENED:
            opened = info["return_value"].get_extra_info("socket")
            with self._guard:
                self._sockets.add(opened)
