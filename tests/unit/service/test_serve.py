"""The service as a process: a storm of pushes, and kills at any moment, lose nothing that was answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from unit.helpers.sites import SECRET, configuration, payload, signed
from workspace import LIB

START_S = 60


class Server:
    """`stalker serve` in a process; no build starts, since that much space is never free."""

    def __init__(self, path, **builds):
        self.path = path
        (path / "trees").mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (path / "service.hjson").write_text(
            configuration(listen=f"127.0.0.1:{self.port}", builds={"min_free": "900t", **builds})
        )
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "stalker.cli", "--workspace", self.path, "serve"],
            cwd=self.path,
            env={
                **os.environ,
                "PYTHONPATH": str(LIB),
                "TEST_HOOK_SECRET": SECRET,
                "TEST_TEAM_TOKEN": "team token",
            },
            stdout=subprocess.DEVNULL,
            stderr=(self.path / "messages.txt").open("ab"),
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        pytest.fail((self.path / "messages.txt").read_text())

    def stop(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(START_S)

    def rows(self, query):
        with contextlib.closing(sqlite3.connect(self.path / "workspace" / "service.db")) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path, queued=100)
    made.start()
    yield made
    made.stop(signal.SIGKILL)


def request(number):
    """Return a push of one of 40 branches as the bytes of a request."""
    body = payload(ref=f"refs/heads/b{number % 40}", commit=f"{number + 1:040x}")
    lines = ["POST /build/first/hook HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in signed(body, delivery=f"delivery {number}").items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def push(port, number):
    """Send a push on a connection of its own; return its status and answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(number))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
        return int(head.split()[1]), json.loads(body)
    finally:
        writer.close()


async def storm(port, numbers):
    """Send pushes at once; return the answers by number, without those whose connection broke."""
    outcomes = await asyncio.gather(*(push(port, number) for number in numbers), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, (OSError, EOFError)):
            raise outcome
    return {
        number: outcome
        for number, outcome in zip(numbers, outcomes, strict=True)
        if not isinstance(outcome, BaseException)
    }


def test_a_thousand_pushes_at_once_are_all_stored(server):
    """Each is answered; of each branch the newest waits, and the others are replaced."""
    answers = asyncio.run(storm(server.port, range(1000)))

    assert {status for status, _ in answers.values()} == {202}
    assert len(answers) == 1000
    assert server.rows("SELECT count(*) FROM deliveries") == [(1000,)]
    assert server.rows("SELECT state, count(*) FROM builds GROUP BY state ORDER BY state") == [
        ("queued", 40),
        ("replaced", 960),
    ]


def test_a_push_that_was_answered_survives_every_kill(server):
    """Sent again after the kill, as forges do, each is a build exactly once."""
    chance = random.Random(20)
    answered = {}
    for turn in range(4):
        numbers = range(turn * 100, turn * 100 + 100)

        async def storm_and_kill(numbers=numbers):
            sending = asyncio.create_task(storm(server.port, numbers))
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            server.process.send_signal(signal.SIGKILL)
            return await sending

        first = asyncio.run(storm_and_kill())
        server.process.wait(START_S)
        server.start()
        again = asyncio.run(storm(server.port, numbers))
        assert len(again) == 100
        for number, (status, answer) in first.items():
            assert (status, again[number][0]) == (202, 200)
            assert again[number][1]["build"] == answer["build"]
        answered.update(again)

    assert len(answered) == 400
    assert server.rows("SELECT count(*), count(DISTINCT digest) FROM deliveries") == [(400, 400)]
    assert server.rows("SELECT count(*) FROM builds") == [(400,)]


def test_a_second_service_is_refused_and_the_first_goes_on(server):
    command = [sys.executable, "-P", "-m", "stalker.cli", "--workspace", server.path, "serve"]
    second = subprocess.run(
        command,
        cwd=server.path,
        env={**os.environ, "PYTHONPATH": str(LIB), "TEST_HOOK_SECRET": SECRET, "TEST_TEAM_TOKEN": "x"},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )

    assert second.returncode != 0
    assert f"process {server.process.pid}" in second.stderr
    assert asyncio.run(storm(server.port, [1]))[1][0] == 202


def test_a_service_that_is_asked_to_end_ends_well(server):
    asyncio.run(storm(server.port, range(20)))

    server.stop(signal.SIGTERM)

    assert server.process.returncode == 0
    assert server.rows("SELECT count(*) FROM deliveries") == [(20,)]
