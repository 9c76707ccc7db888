"""What is read from an engine's socket, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.engine.wire import _chunks
from stalker.errors import EngineError


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
