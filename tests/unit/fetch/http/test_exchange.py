"""One request: what is refused for good, and what another attempt may better."""

import httpx
import pytest

from stalker.errors import NotReached
from stalker.fetch.http.exchange import Refused, exchange
from stalker.fetch.http.stop import Stop


def request(answer, url="https://a/x", **more):
    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True, max_redirects=3)
    with exchange(client, "GET", url, {"X": "1"}, Stop(), **more) as response:
        return response.status_code, response.read()


def raising(error):
    def answer(request):
        raise error

    return answer


def test_an_answer_is_passed_on_whatever_its_status():
    """With the headers that were given, and uncompressed."""
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(503, content=b"busy")

    assert request(answer) == (503, b"busy")
    assert (seen[0].headers["x"], seen[0].headers["accept-encoding"]) == ("1", "identity")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("no route"), httpx.ReadTimeout(""), httpx.RemoteProtocolError("cut")]
)
def test_trouble_on_the_way_may_pass(error):
    """The reason is never empty."""
    with pytest.raises(NotReached) as caught:
        request(raising(error))

    assert caught.value.details
    assert "a/x" in caught.value.brief


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "certificate is not trusted"),
        (httpx.UnsupportedProtocol("no"), "cannot be fetched"),
        (httpx.InvalidURL("no"), "cannot be fetched"),
    ],
)
def test_what_no_attempt_betters_is_refused(error, words):
    """Credentials are not shown."""
    with pytest.raises(Refused, match=words) as caught:
        request(raising(error), "https://ann:word@a/x?key=1")

    assert "word" not in str(caught.value)


def test_redirects_end():
    """A circle is refused."""
    with pytest.raises(Refused):
        request(lambda _: httpx.Response(302, headers={"Location": "https://a/x"}))


def test_a_redirect_from_https_to_http_is_refused():
    """What comes over http can be changed on its way."""

    def answer(request):
        is_first = request.url.scheme == "https"
        return httpx.Response(
            302 if is_first else 200, headers={"Location": "http://b/x"} if is_first else {}
        )

    with pytest.raises(Refused, match="leads from https to http"):
        request(answer)
    assert request(answer, "http://a/x") == (200, b"")


def test_a_form_goes_to_no_other_server():
    """It may hold a login."""
    hosts = []

    def answer(request):
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://b/x"})

    assert request(answer, form={"a": "b"})[0] == 307
    assert hosts == ["a"]
