"""Short questions are repeated while a server fails, and no more is read than was asked for."""

import httpx
import pytest

from stalker.errors import Interrupted, NotReached
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.request import ask
from stalker.fetch.http.stop import Stop


class Server:
    """Answers in turn; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.pauses = []
        self.said = []

    def __call__(self, _request):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, **more):
        client = httpx.Client(transport=httpx.MockTransport(self))
        patience = Patience(2, 5.0, self.pauses.append)
        return ask(client, "GET", "https://a/x", patience=patience, say=self.said.append, **more)


def test_a_server_that_fails_is_asked_again():
    """After pauses that double, or that it asks for."""
    server = Server(
        httpx.Response(503, stream=httpx.ByteStream(b"")),
        httpx.Response(429, headers={"Retry-After": "9"}, stream=httpx.ByteStream(b"")),
        httpx.Response(200, stream=httpx.ByteStream(b"ok")),
    )

    assert server.ask(most_bytes=10).body == b"ok"
    assert server.pauses == [1, 9]
    assert len(server.said) == 2


def test_the_last_answer_counts_when_it_goes_on_failing():
    """Its status says more than an error would."""
    assert Server(*(httpx.Response(500) for _ in range(3))).ask().status == 500


def test_no_answer_at_all_is_an_error():
    """After the same number of attempts."""
    server = Server(*(httpx.ConnectError("no") for _ in range(3)))

    with pytest.raises(NotReached):
        server.ask()
    assert server.answers == []


def test_a_refusal_is_final():
    """404 is not asked again."""
    assert Server(httpx.Response(404)).ask().line == "404 Not Found"


def test_no_more_is_read_than_was_asked_for():
    """And it is known whether that was all."""
    cut = Server(httpx.Response(200, stream=httpx.ByteStream(b"x" * 9000))).ask(most_bytes=100)
    whole = Server(httpx.Response(200, stream=httpx.ByteStream(b"x" * 100))).ask(most_bytes=100)

    assert (len(cut.body), cut.is_whole) == (100, False)
    assert (len(whole.body), whole.is_whole) == (100, True)


def test_headers_are_made_for_each_attempt():
    """A token may have ended in between."""
    made = []
    Server(httpx.Response(503), httpx.Response(200)).ask(headers=lambda: made.append(1) or {})

    assert len(made) == 2


def test_a_stop_ends_it():
    """Also between two attempts."""
    stop = Stop()
    stop.set()

    with pytest.raises(Interrupted):
        Server(httpx.Response(503)).ask(stop=stop)
