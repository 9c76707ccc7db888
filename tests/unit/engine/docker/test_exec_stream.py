"""What a program writes, heard to the last byte."""

import socket
import threading
import time

import pytest

from stalker.engine.docker import exec_stream


@pytest.fixture
def line():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frame(data, stream=1):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_output_that_comes_after_the_end_was_seen_is_heard(line):
    """A busy engine knows that a program has ended before it has passed on what that wrote."""
    ours, theirs = line
    asked = threading.Event()
    heard = []

    def send_late():
        asked.wait(10)
        time.sleep(2 * exec_stream.POLL_S)  # it is already known to be over
        theirs.sendall(frame(b"last words"))
        theirs.shutdown(socket.SHUT_RDWR)

    sender = threading.Thread(target=send_late)
    sender.start()
    went_on = exec_stream._listen(
        exec_stream._frames(ours, b""),
        lambda data, is_stderr: heard.append((data, is_stderr)),
        None,
        lambda: not asked.set(),
    )
    sender.join()

    assert went_on
    assert heard == [(b"last words", False)]


def test_a_stream_that_somebody_else_holds_is_left(line):
    """A process that a script left behind keeps it open for ever."""
    ours, theirs = line
    theirs.sendall(frame(b"done", stream=2))
    heard = []

    went_on = exec_stream._listen(
        exec_stream._frames(ours, b""),
        lambda data, is_stderr: heard.append((data, is_stderr)),
        None,
        lambda: True,
    )

    assert went_on
    assert heard == [(b"done", True)]
