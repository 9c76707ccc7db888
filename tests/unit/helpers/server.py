"""A web server on this host that misbehaves as told."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served: files by path, and how the next requests are answered.

    `tricks` are taken one a request: `ok`, a status as `503`, `cut 100` (the body ends after 100 bytes),
    `short 5`/`long 5` (Content-Length is off by that much), `no-length`, `other-range`, `chunked`,
    `other-bytes` (the right range with wrong content), `new-etag` (a range of another version).
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"v1"'
    has_ranges: bool = True
    tricks: deque[str] = field(default_factory=deque)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Range header) of each request."""
    gate: threading.Event | None = None
    retry_after: str = ""
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with each file and each redirect."""
    knows_conditions: bool = True
    slow_at: int = 0
    """The body stops after that many bytes until `gate` is set; the gate is not waited for before."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set once a body stopped there."""
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def gets(self) -> int:
        return len(self.ranges())

    def ranges(self) -> list[str]:
        return [one[2] for one in self.asked if one[0] == "GET"]


@contextlib.contextmanager
def serving(**files: bytes) -> Iterator[Served]:
    """Serve `files` until the block ends."""
    served = Served(files={f"/{name}": data for name, data in files.items()})
    server = _Server(("127.0.0.1", 0), _handler(served))
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that hung up is what some tests want."""


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(with_body=False)

        def do_GET(self):
            self._answer(with_body=True)

        def _answer(self, *, with_body):
            with served.lock:
                served.at_once += 1
                served.most_at_once = max(served.most_at_once, served.at_once)
            try:
                self._answer_one(with_body=with_body)
            finally:
                with served.lock:
                    served.at_once -= 1

        def _answer_one(self, *, with_body):
            served.asked.append((self.command, self.path, self.headers.get("Range", "")))
            if served.gate is not None and not served.slow_at:
                served.gate.wait(10)
            trick, _, number = (served.tricks.popleft() if served.tricks else "ok").partition(" ")
            if self.path in served.redirects:
                return self._head(302, 0, Location=served.redirects[self.path], **served.headers)
            data = served.files.get(self.path)
            if trick.isdigit() or data is None:
                extra = {"Retry-After": served.retry_after} if served.retry_after else {}
                return self._head(int(trick) if trick.isdigit() else 404, 0, **extra)
            start, end = self._range(len(data))
            headers = {"ETag": served.etag, **served.headers} if served.etag else dict(served.headers)
            if served.knows_conditions and self._is_known(headers):
                return self._head(304, None, **headers)
            status = 200
            if start >= len(data) > 0 and start:
                return self._head(416, 0)
            if start or end:
                status = 206
                first = start + 1 if trick == "other-range" else start
                headers["Content-Range"] = f"bytes {first}-{(end or len(data)) - 1}/{len(data)}"
            body = data[start : end or None]
            if start and trick == "other-bytes":
                body = bytes(byte ^ 1 for byte in body)
            if start and trick == "new-etag":
                headers["ETag"] = '"another"'
            if trick == "no-length":
                self._head(status, None, Connection="close", **headers)
            elif trick == "chunked":
                self._head(status, None, **{"Transfer-Encoding": "chunked"}, **headers)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                return self.wfile.write(b"0\r\n\r\n")
            else:
                off = {"short": -int(number or 0), "long": int(number or 0)}.get(trick, 0)
                self._head(status, len(body) + off, **headers)
            if with_body:
                self._send(body[: int(number)] if trick == "cut" else body)
            if trick != "ok":
                self.close_connection = True
            return None

        def _send(self, body):
            if served.slow_at and len(body) > served.slow_at:
                self.wfile.write(body[: served.slow_at])
                self.wfile.flush()
                served.reached.set()
                served.gate.wait(20)
                body = body[served.slow_at :]
            self.wfile.write(body)

        def _is_known(self, headers):
            etag, since = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
            if etag:
                return etag == headers.get("ETag")
            return bool(since) and since == headers.get("Last-Modified")

        def _range(self, length):
            """Return where the answer starts, and where it ends unless at the end of the file."""
            wanted = self.headers.get("Range", "")
            fits = self.headers.get("If-Range", served.etag) == served.etag
            if not wanted or not served.has_ranges or not fits:
                return 0, 0
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            return int(first), min(int(last) + 1, length) if last else 0

        def _head(self, status, length, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

    return Handler
