"""The service: pushes a second, readers of a live log, a build beside the same run."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inputs import Workspace
from peer import BUSYBOX, Peer
from timing import OURS, ROOT, BenchError, Figure, in_turn, median, run, say

PUSHES = 3_000
CONNECTIONS = 32
READERS = 200
READ_S = 10.0
STEPS = 10
ROUNDS = 3
TINY = {"PUSHES": 20, "CONNECTIONS": 2, "READERS": 2, "READ_S": 1.0, "STEPS": 1}

_SECRET = "bench"
_START_S = 60.0
_BUILD_S = 600.0


def measure(_: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Measure the accepting of pushes, then readers of a build, then builds."""
    run([str(ROOT / ".venv/bin/python"), "-c", "import fastapi"])  # `make service-packages`
    return [*_pushes(scratch, rounds), *_readers(scratch), *_builds(scratch, rounds)]


def _pushes(scratch: Path, rounds: int) -> list[Figure]:
    """Signed pushes of 40 branches, answered when they are on the disk; nothing of them starts."""
    found: dict[str, list[float]] = {"pushes": [], "slow": []}
    for number in range(rounds):
        with _service(scratch / f"pushes-{number}", min_free="900t") as service:
            took_s, slow_s = asyncio.run(_push_all(service))
        found["pushes"].append(took_s / PUSHES * 1000)
        found["slow"].append(slow_s * 1000)
        say(f"  round {number + 1} of {rounds}: {PUSHES / took_s:.0f} pushes a second")
    work = f"{PUSHES} signed pushes on {CONNECTIONS} connections"
    return [
        Figure(
            "service", f"{work}: time each", median(found["pushes"]), 2.0, "limit", "ms", 1.0, rounds=found
        ),
        Figure("service", f"{work}: 99 of 100 within", median(found["slow"]), 100.0, "limit", "ms", 1.0),
    ]


def _readers(scratch: Path) -> list[Figure]:
    """Readers of the events of a build that prints ten lines a second."""
    with _service(scratch / "readers") as service:
        service.add_stalk(f"for n in $(seq {int(READ_S * 20)}); do echo line $n; sleep 0.1; done")
        build = service.start()
        service.wait(build, "running")
        cpu_s, rss_mb = asyncio.run(_read_all(service, build))
        service.cancel(build)
    return [
        Figure(
            "service", f"{READERS} readers of a build: processor time a second", cpu_s, 1.0, "a core", bar=1.0
        ),
        Figure("service", f"{READERS} readers of a build: memory", rss_mb, 300.0, "limit", "MB", 1.0),
    ]


def _builds(scratch: Path, rounds: int) -> list[Figure]:
    """Steps of one second each, built by the service and by the command."""
    with _service(scratch / "builds") as service:

        def steps(mark: str) -> None:
            service.add_stalk(*(f"sleep 1; echo {mark} > /g{step}" for step in range(STEPS)))

        def by_command(number: int) -> float:
            steps(f"command {number}")
            return service.workspace.stalker("run", "trees/bench.hjson", "--quiet")

        def by_service(number: int) -> float:
            steps(f"service {number}")
            began_s = time.perf_counter()
            service.wait(service.start(), "success")
            return time.perf_counter() - began_s

        found = in_turn({OURS: by_service, "run": by_command}, rounds)
    return [
        Figure(
            "service",
            f"a build of {STEPS} steps of `sleep 1`",
            median(found[OURS]),
            median(found["run"]),
            "stalker run",
            bar=1.05,
            rounds=found,
        )
    ]


@dataclass
class _Service:
    """A service that runs, with one project of one tree."""

    workspace: Workspace
    port: int
    pid: int

    def add_stalk(self, *commands: str) -> None:
        """Replace the steps of the tree."""
        shutil.rmtree(self.workspace.path / "stalks" / "row", ignore_errors=True)
        self.workspace.add_stalk("row", commands)

    def start(self) -> str:
        """Start a build and return its id."""
        return str(self._ask("/api/v1/builds", {"project": "bench", "branch": "main"})["id"])

    def cancel(self, build: str) -> None:
        """Cancel a build and wait for its end."""
        self._ask(f"/api/v1/builds/{build}/cancel", {})
        self.wait(build, "cancelled")

    def wait(self, build: str, state: str) -> None:
        """Wait until a build is in a state. Raises BenchError when it ends in another one."""
        deadline = time.monotonic() + _BUILD_S
        while time.monotonic() < deadline:
            found = self._ask(f"/api/v1/builds/{build}")
            if found["state"] == state:
                return
            if found["state"] not in ("queued", "running"):
                raise BenchError(f"the build ended as {found['state']}: {found['error']}")
            time.sleep(0.05)
        raise BenchError(f"the build is not {state} after {_BUILD_S:.0f} s")

    def cpu_s(self) -> float:
        """Return the processor time of the service, without its builds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Return the most memory that the service ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def _ask(self, path: str, body: object = None) -> dict[str, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, str] = json.load(answer)
        return found


@contextlib.contextmanager
def _service(path: Path, min_free: str = "1m") -> Iterator[_Service]:
    """Run a service in a workspace of its own."""
    workspace = Workspace(path)
    workspace.add_tree("bench", {"row": {"base": [{"tag": BUSYBOX}]}})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = {
        "listen": f"127.0.0.1:{port}",
        "builds": {"min_free": min_free},
        "secrets": {"HOOK": {"env": "BENCH_HOOK"}},
        "projects": {
            "bench": {"hook": {"forge": "gitea", "secret": "HOOK", "repository": "a/bench"}, "tree": "bench"}
        },
    }
    (path / "service.hjson").write_text(json.dumps(configuration))
    command = [
        str(ROOT / "stalker"),
        "--workspace",
        str(path),
        "serve",
        "--file",
        str(path / "service.hjson"),
    ]
    environment = {**os.environ, "BENCH_HOOK": _SECRET}
    with (path / "messages.txt").open("wb") as messages:
        process = subprocess.Popen(command, cwd=path, env=environment, stdout=messages, stderr=messages)
    try:
        _await_port(process, port, path / "messages.txt")
        yield _Service(workspace, port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _await_port(process: subprocess.Popen[bytes], port: int, messages: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise BenchError(f"the service does not answer: {messages.read_text(errors='replace')[-3000:]}")


async def _push_all(service: _Service) -> tuple[float, float]:
    """Return the seconds of all pushes, and those within which 99 of 100 were answered."""
    waiting = [_push(service.port, number) for number in range(PUSHES)]
    times: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        while waiting:
            request = waiting.pop()
            began_s = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
            times.append(time.perf_counter() - began_s)
            if head.split()[1] != "202":
                raise BenchError(f"a push was answered with {head.splitlines()[0]}")
        writer.close()

    began_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    took_s = time.perf_counter() - began_s
    return took_s, sorted(times)[int(len(times) * 0.99) - 1]


def _push(port: int, number: int) -> bytes:
    """Return the request of a push as Gitea sends it."""
    commit = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
    change = {"id": commit, "message": "a change", "added": [], "removed": [], "modified": ["a", "b", "c"]}
    push = {
        "ref": f"refs/heads/b{number % 40}",
        "after": commit,
        "repository": {"full_name": "a/bench", "clone_url": "https://git.example.org/a/bench.git"},
        "commits": [change] * 4,
        "head_commit": change,
        "pusher": {"login": "ann"},
    }
    body = json.dumps(push).encode()
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "X-Gitea-Event": "push",
        "X-Gitea-Delivery": f"bench-{number}",
        "X-Gitea-Signature": hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Length": str(len(body)),
    }
    lines = ["POST /build/bench/hook HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _read_all(service: _Service, build: str) -> tuple[float, float]:
    """Return the processor seconds a second while all readers read, and the memory in MB."""
    sizes = [0] * READERS

    async def reader(number: int) -> None:
        connection, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            f"GET /api/v1/builds/{build}/events HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode()
        )
        try:
            while part := await connection.read(65536):
                sizes[number] += len(part)
        finally:
            writer.close()

    readers = [asyncio.create_task(reader(number)) for number in range(READERS)]
    await asyncio.sleep(min(2.0, READ_S))  # until all have read what was there
    before_s, began_s, read = service.cpu_s(), time.perf_counter(), list(sizes)
    await asyncio.sleep(READ_S)
    share = (service.cpu_s() - before_s) / (time.perf_counter() - began_s)
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    if any(after <= before for before, after in zip(read, sizes, strict=True)):
        raise BenchError("a reader got nothing")
    return share, service.rss_mb()
