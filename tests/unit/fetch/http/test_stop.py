"""A stop wakes what waits for bytes, and only connections that were made under it."""

import socket

from stalker.fetch.http.stop import Stop


class Opened:
    """A stream of httpcore, as far as it is looked at."""

    def __init__(self, opened):
        self.opened = opened

    def get_extra_info(self, name):
        return self.opened if name == "socket" else None


def test_a_stop_shuts_down_the_connections_that_it_knows():
    """Who reads from one gets its end at once."""
    mine, other = socket.socketpair()
    with mine, other:
        stop = Stop()
        stop.trace("connection.connect_tcp.complete", {"return_value": Opened(mine)})
        stop.set()

        assert mine.recv(1) == b""
        assert stop.is_set()


def test_other_events_are_no_connection():
    """Such as the head of a request."""
    mine, other = socket.socketpair()
    with mine, other:
        stop = Stop()
        stop.trace("http11.send_request_headers.complete", {"return_value": Opened(mine)})
        stop.set()
        other.sendall(b"x")

        assert mine.recv(1) == b"x"


def test_a_connection_that_is_closed_already_does_no_harm():
    """It may end while others still come."""
    mine, other = socket.socketpair()
    stop = Stop()
    stop.trace("connection.connect_tcp.complete", {"return_value": Opened(mine)})
    mine.close()
    other.close()

    stop.set()
