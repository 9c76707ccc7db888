"""Challenges of registries are read, and tokens are used as long as they hold."""

import httpx
import pytest

from stalker.engine.logins import Login
from stalker.errors import InputError
from stalker.fetch.http.patience import Patience
from stalker.fetch.oci.tokens import Challenge, Tokens, challenge_in


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        (['Bearer realm="https://a/t",service="s"'], Challenge(False, "https://a/t", "s")),
        (
            ['Basic realm="x", Bearer realm="https://a/t?x=1,2", service=s'],
            Challenge(False, "https://a/t?x=1,2", "s"),
        ),
        (["Basic realm=x"], Challenge(True)),
        (['basic realm="Bearer, realm=1"'], Challenge(True)),
        (['bearer service="x"', "Negotiate"], None),
        ([], None),
    ],
)
def test_challenges_are_read(headers, challenge):
    assert challenge_in(headers) == challenge


def test_a_login_goes_to_no_http_address_of_a_registry_that_is_not_insecure():
    """A server in between that changes an answer could have it sent anywhere in clear."""
    tokens = Tokens(None, Patience(), print, is_insecure=False)

    with pytest.raises(InputError, match="http://a/token"):
        tokens.of(Challenge(False, "http://a/token", "s"), "x", Login("ann", "word"), None)


REALM = Challenge(False, "https://a/token", "s")


@pytest.fixture
def asked():
    """Tokens of a server that numbers them, and the requests that it saw."""
    seen = []

    def answer(request):
        request.read()
        seen.append(request)
        return httpx.Response(
            200, stream=httpx.ByteStream(b'{"token": "t%d", "expires_in": 300}' % len(seen))
        )

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Tokens(client, Patience(0, 1.0), print, is_insecure=False), seen


def test_a_token_is_used_until_it_is_forgotten(asked):
    """One question for each scope."""
    tokens, seen = asked
    first = [tokens.of(REALM, scope, None, None) for scope in ("x", "x", "y")]
    tokens.forget("x")

    assert first == ["t1", "t1", "t2"]
    assert tokens.of(REALM, "x", None, None) == "t3"
    assert [one.url.params["scope"] for one in seen] == ["x", "y", "x"]


def test_a_password_goes_in_a_header_and_an_identity_token_in_a_form(asked):
    """Neither is in the URL."""
    tokens, seen = asked
    tokens.of(REALM, "x", Login("ann", "word"), None)
    tokens.of(REALM, "y", Login(identity_token="geheim"), None)

    assert seen[0].headers["authorization"].startswith("Basic ")
    assert seen[0].url.params["account"] == "ann"
    assert seen[1].method == "POST"
    assert b"refresh_token=geheim" in seen[1].content
    assert "geheim" not in str(seen[1].url)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": "a\\nb"}', b'{"token": "x", "expires_in": "soon"}']
)
def test_what_is_not_a_token_is_refused(body):
    """A header could be made of what holds a line feed."""
    client = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(body)))
    )
    tokens = Tokens(client, Patience(0, 1.0), print, is_insecure=False)

    with pytest.raises(InputError, match="gave no token"):
        tokens.of(REALM, "x", None, None)
