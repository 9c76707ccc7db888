"""Requests to the engine's socket for which docker-py does not serve.

Listings and inspections of images and containers, and what an engine reports of itself: a plan with nothing to do
needs no more, and importing docker-py takes 100 ms, more than all the rest. They are repeated where an image is
removed meanwhile, which docker-py does not do either. And what streams: an export, and in `exec_stream.py` the
input and output of an exec.
"""

from __future__ import annotations

import json
import socket

from stalker.errors import EngineError, NoEngine, NotThere
from stalker.model.program import program

TYPE_CHECKING = False  # the module `typing` takes 8 ms, a tenth of a run with nothing to do
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

API_OLDEST = (1, 41)
"""What Docker 20.10 speaks, the oldest that has all that is asked of an engine."""

API_NEWEST = (1, 51)
"""The newest that was tested; an engine that speaks newer ones is asked in this."""

AGAIN_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses before a listing or an inspection is asked for again. Docker with the containerd store, and Podman,
refuse one now and then in which an image is removed by another client (moby#51979)."""

CONNECT_S = 10.0
PING_S = 10.0
"""systemd may start the engine only when its socket is first used, which takes seconds."""

KEEP_ALIVE_S = 30
CHUNK = 1 << 16
STREAM_BYTES = 1 << 16
"""More is slower: memory for larger pieces comes fresh from the system each time, page by page."""


class Address:
    """Where an engine listens: `unix:///var/run/docker.sock`, `tcp://host:2376` with TLS files."""

    __slots__ = ("answer", "ca", "cert", "key", "url", "verify")

    def __init__(self, url: str, ca: str = "", cert: str = "", key: str = "", verify: bool = True) -> None:  # noqa: FBT001, FBT002
        # What the engine answered to a ping: headers in lower case, empty before it was asked.
        self.answer: dict[str, str] = {}
        self.url = url
        self.ca = ca
        self.cert = cert
        self.key = key
        self.verify = verify

    def _all(self) -> tuple[str, str, str, str, bool]:
        return (self.url, self.ca, self.cert, self.key, self.verify)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"Address{self._all()}"


def _wrapped(context: Any, connection: socket.socket, host: str) -> socket.socket:
    wrapped: socket.socket = context.wrap_socket(connection, server_hostname=host)
    return wrapped


def tls_context(address: Address) -> Any:
    """Return an SSL context that accepts the certificates that the docker command accepts.

    Python 3.13 verifies strictly (RFC 5280): it refuses those made by Docker's own instructions, which lack an
    Authority Key Identifier.
    """
    import ssl  # only for engines behind TLS

    context = ssl.create_default_context(cafile=address.ca or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if address.cert:
        context.load_cert_chain(address.cert, address.key or None)
    return context


def connect(
    address: Address, wrap: Callable[[Any, socket.socket, str], socket.socket] = _wrapped
) -> socket.socket:
    """Open a connection, through `wrap(context, socket, host)` where it is TLS. Raises NoEngine."""
    try:
        if address.url.startswith("unix://"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(address.url.removeprefix("unix://"))
            except OSError:
                connection.close()
                raise
            return connection
        from urllib.parse import urlsplit  # only for engines that are not on this host

        parts = urlsplit(address.url)
        if parts.scheme in {"tcp", "http", "https"}:
            connection = socket.create_connection(
                (parts.hostname or "localhost", parts.port or 2375), CONNECT_S
            )
            connection.settimeout(None)
            keep_alive(connection)
            if not (address.ca or address.cert or parts.scheme == "https"):
                return connection
            return wrap(tls_context(address), connection, parts.hostname or "")
    except OSError as error:
        raise NoEngine(
            f"no engine answers at {address.url}", str(error), f"{program()} doctor tells what is wrong"
        ) from error
    raise NoEngine(
        f"no way to reach an engine at {address.url}",
        f"'{parts.scheme}' is not spoken here: unix and tcp are",
        "forward its socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, "
        "then DOCKER_HOST=unix:///tmp/docker.sock",
    )


def keep_alive(connection: socket.socket) -> None:
    """Let the kernel probe a quiet connection: routers forget those that carry nothing for minutes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), KEEP_ALIVE_S)


def went_away(url: str, error: OSError) -> NoEngine:
    """Return what to raise when an engine that had answered does so no more."""
    return NoEngine(
        f"the engine at {url} went away",
        str(error),
        f"{program()} engine up starts it; the next run goes on from the last committed step",
    )


def ping(address: Address, timeout_s: float = PING_S) -> tuple[str, dict[str, str]]:
    """Ask an engine whether it is there; return the first line of its answer, and the headers.

    The headers are kept in `address.answer` when they are an engine's. Raises NoEngine, OSError.
    """
    connection = connect(address)
    try:
        connection.settimeout(timeout_s)
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data and len(data) < CHUNK and (more := connection.recv(1 << 14)):
            data += more
    finally:
        connection.close()
    first, _, rest = data.partition(b"\r\n\r\n")[0].decode("latin-1").partition("\r\n")
    pairs = (line.split(": ", 1) for line in rest.split("\r\n") if ": " in line)
    answer = {name.lower(): value for name, value in pairs}
    words = first.split()
    if len(words) > 1 and words[0].startswith("HTTP/") and words[1] == "200":
        address.answer = answer or {"api-version": ""}
    return first, answer


def api_version(address: Address) -> str:
    """Return the API version that is used with an engine, `1.41`: the newest that both speak. Asked once.

    Raises NoEngine.
    """
    if not address.answer:
        try:
            ping(address)
        except OSError as error:
            raise went_away(address.url, error) from error
    newest = tuple(int(part) for part in address.answer.get("api-version", "").split(".") if part.isdigit())
    return ".".join(map(str, min(max(newest, API_OLDEST), API_NEWEST)))


def versioned(address: Address, path: str) -> str:
    """Return the target of a request: its path below that of the API version."""
    return f"/v{api_version(address)}{path}"


def is_podman(address: Address) -> bool:
    """Say by an engine's answer to a ping whether it is Podman."""
    return "libpod-api-version" in address.answer


def image_id(image: str) -> str:
    """Return an image's id as Docker writes it, with its algorithm: Podman leaves that out in places."""
    return f"sha256:{image}" if len(image) == 64 and ":" not in image else image


def docker_name(name: str) -> str:
    """Return the name of an image as Docker would list it: Podman adds the registry that is taken by default."""
    return name.removeprefix("localhost/").removeprefix("docker.io/").removeprefix("library/")


def get_json(address: Address, path: str, query: dict[str, str]) -> Any:
    """GET a JSON document, again where the refusal is one of a moment. Raises NoEngine, NotThere, EngineError."""
    import time

    for pause_s in (*AGAIN_S, None):
        status, body = _get(address, path, query)
        if status == 200:
            return json.loads(body)
        said = body.decode("utf-8", "replace").strip()
        if pause_s is None or not _is_of_a_moment(status, said, path):
            break
        time.sleep(pause_s)
    raise (NotThere if status == 404 else EngineError)(f"the engine refused to answer {path}", said)


def _is_of_a_moment(status: int, said: str, path: str) -> bool:
    """Return whether a refusal is due to what another client removes meanwhile.

    A listing refuses nothing for long. Of an inspection that is so where what an image consists of is missing, but
    not the image.
    """
    if path in {"/images/json", "/containers/json"}:
        return status >= 404
    said = said.lower()
    return status in {404, 500} and "content digest" in said and "no such image" not in said


def _get(address: Address, path: str, query: dict[str, str]) -> tuple[int, bytes]:
    text = "&".join(f"{name}={_quoted(value)}" for name, value in query.items())
    target = versioned(address, path)
    connection = connect(address)
    try:
        send(connection, "GET", f"{target}?{text}", b"", ())
        status, headers, rest = read_head(connection)
        return status, read_body(connection, headers, rest)
    except OSError as error:
        raise went_away(address.url, error) from error
    finally:
        connection.close()


def get_stream(
    address: Address, path: str, query: dict[str, str] | None = None
) -> Generator[bytes, None, None]:
    """GET a tar of any size, in pieces as they come; a generator to be closed.

    It is asked for as in HTTP/1.0: without chunks both sides take a third less time. That a body broke off
    shows only in the end of the archive, which did not come.

    Raises NoEngine, NotThere, EngineError.
    """
    text = "&".join(f"{name}={_quoted(value)}" for name, value in (query or {}).items())
    target = versioned(address, path)
    connection = connect(address)
    try:
        target = f"{target}?{text}" if text else target
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        status, headers, rest = read_head(connection)
        if status != 200:
            said = read_body(connection, headers, rest).decode("utf-8", "replace").strip()
            kind = NotThere if status == 404 else EngineError
            raise kind(f"the engine refused to answer {path}", said)
        if headers.get("transfer-encoding") == "chunked":
            yield from _chunks(connection, rest)
            return
        if rest:
            yield rest
        while data := connection.recv(STREAM_BYTES):
            yield data
    except OSError as error:
        raise went_away(address.url, error) from error
    finally:
        connection.close()


def _chunks(connection: socket.socket, data: bytes) -> Iterator[bytes]:
    """Yield the data of a chunked body: each chunk is its length in hex, data, an empty line."""
    position = 0
    left = -2  # of the chunk; below zero: what is left of the line break after one, then its length
    while True:
        if position == len(data):
            data, position = connection.recv(STREAM_BYTES), 0
            if not data:
                raise EngineError("the engine's answer broke off", "", "try again")
        if left > 0:
            part = data[position : position + left]
            position += len(part)
            left -= len(part)
            yield part
            continue
        # A line: the break after a chunk (once there was one), or a length.
        while (end := data.find(b"\n", position)) < 0:
            more = connection.recv(STREAM_BYTES)
            if not more:
                raise EngineError("the engine's answer broke off", "", "try again")
            data, position = data[position:] + more, 0
        line, position = data[position:end].strip(), end + 1
        if left == 0:
            left = -2
            continue
        left = int(line.split(b";")[0], 16)
        if left == 0:
            return


def _quoted(text: str) -> str:
    return "".join(chr(c) if chr(c).isalnum() and c < 128 else f"%{c:02X}" for c in text.encode())


def send(connection: socket.socket, verb: str, target: str, body: bytes, more: tuple[str, ...]) -> None:
    """Send a request."""
    lines = [f"{verb} {target} HTTP/1.1", "Host: docker", *more]
    if verb == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    elif not more:
        lines.append("Connection: close")
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def read_head(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return an answer's status, its headers in lower case, and what of its body came with them."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(CHUNK)
        if not more:
            raise ConnectionResetError("the connection was closed before an answer came")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return int(first.split()[1]), headers, rest


def read_body(connection: socket.socket, headers: dict[str, str], data: bytes) -> bytes:
    """Return the whole body of an answer."""
    length = int(headers["content-length"]) if "content-length" in headers else None
    chunks = [data]
    have = len(data)
    while length is None or have < length:
        more = connection.recv(CHUNK)
        if not more:
            break
        chunks.append(more)
        have += len(more)
    body = b"".join(chunks)
    return _dechunk(body) if headers.get("transfer-encoding") == "chunked" else body


def _dechunk(body: bytes) -> bytes:
    parts: list[bytes] = []
    position = 0
    while True:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
