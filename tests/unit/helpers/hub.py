"""A registry of container images on this host: with logins, tokens, redirects, and mischief as told."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass
class Asked:
    method: str
    path: str
    host: str
    range: str
    authorization: str
    form: str = ""


@dataclass
class Hub:
    """What is there, and how it is given away.

    `auth` is empty, `basic` or `token`. With `redirects` blobs are sent by another host name. `tricks` are
    taken one a request to /v2/: a status, or `ok`. `cuts` has how many bytes of a blob go out, once.
    """

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    auth: str = ""
    login: str = "ann:open sesame"
    identity_token: str = ""
    is_private: bool = False
    life_s: int = 300
    valid: set[str] = field(default_factory=set)
    redirects: bool = False
    has_ranges: bool = True
    retry_after: str = ""
    told_digest: str = ""
    tricks: deque[str] = field(default_factory=deque)
    cuts: dict[str, int] = field(default_factory=dict)
    stalls: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    """A blob in `stalls` says nothing after half of it until the gate is set."""

    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paths(self, part: str) -> list[str]:
        return [one.path for one in self.asked if part in one.path]

    def put(self, body: bytes) -> str:
        self.blobs[digest_of(body)] = body
        return digest_of(body)

    def put_document(self, name: str, tag: str, media: str, document: dict) -> str:
        body = json.dumps(document).encode()
        self.documents[f"{name}/{digest_of(body)}"] = (media, body)
        if tag:
            self.documents[f"{name}/{tag}"] = (media, body)
        return digest_of(body)

    def push(
        self, name="a/b", tag="1", *, layers=(), platform="linux/arm64/v8", packing="gzip", **more
    ) -> str:
        """Put an image of tars there and return the digest of its manifest."""
        config = self.put(json.dumps(configuration(layers, platform)).encode())
        found = []
        for layer in layers:
            packed = PACK[packing](layer)
            media = f"{LAYER}+{packing}" if packing else LAYER
            found.append({"mediaType": media, "digest": self.put(packed), "size": len(packed)})
        size = len(self.blobs[config])
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config,
                "size": size,
            },
            "layers": found,
            **more,
        }
        return self.put_document(name, tag, MANIFEST, document)

    def push_index(self, name: str, tag: str, lines: list[tuple[str, str]], **more) -> str:
        """Put a list of (platform, digest) there."""
        manifests = [
            {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform_of(platform)}
            for platform, digest in lines
        ]
        return self.put_document(name, tag, INDEX, {"schemaVersion": 2, "manifests": manifests, **more})


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def platform_of(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def configuration(layers, platform: str) -> dict:
    return {
        **platform_of(platform),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [*map(digest_of, layers)]},
    }


def layer(**files: bytes) -> bytes:
    """Return a tar of files."""
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return stream.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


PACK = {"gzip": lambda data: gzip.compress(data, mtime=0), "zstd": zstd, "": bytes}


@contextlib.contextmanager
def hub_serving(**options) -> Iterator[Hub]:
    """Run a registry until the block ends."""
    hub = Hub(**options)
    server = _Server(("127.0.0.1", 0), _handler(hub))
    hub.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that hung up, or that tries TLS first."""


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self._note()
            parts = urlsplit(self.path)
            if parts.path == "/token":
                return self._token(parse_qs(parts.query))
            if parts.path.startswith("/storage/"):
                return self._blob(parts.path.removeprefix("/storage/"))
            if parts.path == "/v2/":
                return self._send(200, b"{}")
            trick = hub.tricks.popleft() if hub.tricks else "ok"
            if trick != "ok":
                return self._refuse(int(trick), "TOOMANY" if trick == "429" else "BROKEN")
            if not self._may():
                return self._refuse(401, "UNAUTHORIZED", **{"WWW-Authenticate": self._challenge()})
            name, kind, reference = parts.path.removeprefix("/v2/").rsplit("/", 2)
            if kind == "blobs" and hub.redirects:
                port = hub.address.rpartition(":")[2]
                return self._send(
                    307, b"", Location=f"http://localhost:{port}/storage/{reference}?signed=yes"
                )
            if kind == "blobs":
                return self._blob(reference)
            if f"{name}/{reference}" not in hub.documents:
                return self._refuse(404, "MANIFEST_UNKNOWN")
            media, body = hub.documents[f"{name}/{reference}"]
            return self._send(
                200,
                body,
                **{"Content-Type": media, "Docker-Content-Digest": hub.told_digest or digest_of(body)},
            )

        def do_POST(self):
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._note(form)
            given = parse_qs(form)
            if given.get("refresh_token") == [hub.identity_token] and given["grant_type"] == [
                "refresh_token"
            ]:
                return self._give("access_token")
            return self._refuse(401, "DENIED")

        def _note(self, form=""):
            given = self.headers
            hub.asked.append(
                Asked(
                    self.command,
                    self.path,
                    given.get("Host", ""),
                    given.get("Range", ""),
                    given.get("Authorization", ""),
                    form,
                )
            )

        def _may(self):
            given = self.headers.get("Authorization", "")
            if hub.auth == "basic":
                return given == f"Basic {base64.b64encode(hub.login.encode()).decode()}"
            return not hub.auth or given.removeprefix("Bearer ") in hub.valid

        def _challenge(self):
            if hub.auth == "basic":
                return 'Basic realm="a registry"'
            return f'Bearer realm="http://{hub.address}/token",service="hub, of tests",scope="x"'

        def _token(self, query):
            given = self.headers.get("Authorization", "")
            right = f"Basic {base64.b64encode(hub.login.encode()).decode()}"
            if query["service"] != ["hub, of tests"] or given != (right if hub.is_private else ""):
                return self._refuse(401, "DENIED")
            return self._give("token")

        def _give(self, key):
            with hub.lock:
                token = f"token-{len(hub.valid)}"
                hub.valid.add(token)
            return self._send(200, json.dumps({key: token, "expires_in": hub.life_s}).encode())

        def _blob(self, digest):
            body = hub.blobs.get(digest)
            if body is None:
                return self._refuse(404, "BLOB_UNKNOWN")
            headers = {"Accept-Ranges": "bytes"} if hub.has_ranges else {}
            wanted = self.headers.get("Range", "")
            if digest in hub.stalls and not wanted:
                return self._stall(body)
            if not wanted or not hub.has_ranges:
                return self._send(200, body, cut=hub.cuts.pop(digest, None), **headers)
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body)), len(body) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
            return self._send(206, body[start : end + 1], **headers)

        def _stall(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            hub.gate.wait(30)
            self.close_connection = True

        def _refuse(self, status, code, **headers):
            if hub.retry_after:
                headers["Retry-After"] = hub.retry_after
            body = {"errors": [{"code": code, "message": f"{hub.login.partition(':')[2]} is not a good"}]}
            self._send(status, json.dumps(body).encode(), **headers)

        def _send(self, status, body, cut=None, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if cut is None else body[:cut])
            if cut is not None:
                self.close_connection = True

    return Handler
