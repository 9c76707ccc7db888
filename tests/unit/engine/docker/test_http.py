"""What is read from an engine's socket, however it is cut."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.engine.docker import http
from stalker.engine.docker.http import Address, _chunks, api_version, get_json
from stalker.errors import EngineError, NoEngine, NotThere
from unit.helpers.engine_socket import OK, answering_socket


class Cut:
    """A connection that hands out a byte string in given pieces, then closes."""

    def __init__(self, data, sizes):
        self._data = data
        self._sizes = iter(sizes)

    def recv(self, most):
        size = min(next(self._sizes, most), most)
        part, self._data = self._data[:size], self._data[size:]
        return part


def encoded(parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.lists(st.integers(1, 9), max_size=80))
def test_a_chunked_body_is_the_same_however_it_is_cut(parts, sizes):
    body = encoded(parts)
    head = sizes[0] if sizes else 0

    read = b"".join(_chunks(Cut(body[head:], sizes), body[:head]))

    assert read == b"".join(parts)


@pytest.mark.parametrize("missing", range(1, 12))
def test_a_body_that_breaks_off_is_an_error(missing):
    """A stream that ends early must never be taken for a whole one."""
    body = encoded([b"abc"])

    with pytest.raises(EngineError, match="broke off"):
        list(_chunks(Cut(body[: -2 - missing], []), b""))


@contextlib.contextmanager
def engine_that_answers(path, *answers, api="1.41"):
    """An engine that answers a ping, and each other request with the next of some (status, document)."""
    asked = []
    left = list(answers)

    def answer(request):
        target = request.split(b" ")[1].decode()
        asked.append(target)
        if target == "/_ping":
            return OK.replace(b"1.41", api.encode())
        status, document = left.pop(0) if len(left) > 1 else left[0]
        body = json.dumps(document).encode()
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)

    with answering_socket(path, answer) as url:
        yield Address(url), asked


GONE = (404, {"message": "content digest sha256:0: not found"})


@pytest.mark.parametrize("refusal", [GONE, (500, {"message": "layer not known"})])
def test_a_listing_in_which_an_image_was_removed_is_asked_for_again(refusal, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "AGAIN_S", (0.001, 0.001))
    with engine_that_answers(tmp_path / "s", refusal, refusal, (200, [1])) as (address, asked):
        assert get_json(address, "/images/json", {}) == [1]

    assert len(asked) == 4


def test_a_listing_that_is_refused_for_long_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "AGAIN_S", (0.001, 0.001))
    with engine_that_answers(tmp_path / "s", GONE) as (address, _), pytest.raises(NotThere, match="refused"):
        get_json(address, "/images/json", {})


def test_an_image_that_is_not_there_is_asked_for_once(tmp_path):
    """One whose content is being removed is asked for again."""
    with engine_that_answers(tmp_path / "s", (404, {"message": "No such image: x"})) as (address, asked):
        with pytest.raises(NotThere):
            get_json(address, "/images/x/json", {})
        assert len(asked) == 2
    with engine_that_answers(tmp_path / "t", GONE, (200, {"Id": "x"})) as (address, asked):
        assert get_json(address, "/images/x/json", {}) == {"Id": "x"}


@pytest.mark.parametrize(
    ("told", "spoken"), [("1.41", "1.41"), ("1.45", "1.45"), ("1.99", "1.51"), ("", "1.41")]
)
def test_the_version_of_the_api_is_agreed_on_once(told, spoken, tmp_path):
    """All later requests name it."""
    with engine_that_answers(tmp_path / "s", (200, {}), api=told) as (address, asked):
        get_json(address, "/info", {})
        get_json(address, "/info", {})
        assert api_version(address) == spoken

    assert asked == ["/_ping", f"/v{spoken}/info?", f"/v{spoken}/info?"]


def test_an_engine_that_does_not_answer_has_no_version(tmp_path):
    with pytest.raises(NoEngine):
        api_version(Address(f"unix://{tmp_path}/none"))
