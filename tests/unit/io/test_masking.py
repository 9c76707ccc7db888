"""Secrets never reach a log or a screen, however a stream is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.io.masking import Masker

SECRETS = st.lists(st.text("abc\n ", max_size=6), max_size=4)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def covered_by_hand(text: str, secrets: list[str]) -> str:
    """The definition, slowly: mark every character of every occurrence, join what overlaps."""
    spans = sorted(
        (at, at + len(secret))
        for secret in {secret for secret in secrets if secret}
        for at in range(len(text))
        if text.startswith(secret, at)
    )
    out, done = "", 0
    for start, end in spans:
        if start >= done or not out:
            out += text[done:start] + "***"
        done = max(done, end)
    return out + text[done:]


@given(st.text("abcd\n ", max_size=60), SECRETS, st.lists(st.integers(0, 60), max_size=8))
def test_any_split_of_a_stream_gives_the_same_masked_output(text, secrets, places):
    """A secret that arrives in two chunks is masked as one that arrives whole."""
    whole = Masker(secrets).mask_text(text)
    masker = Masker(secrets)

    pieces = [masker.feed(piece) for piece in cut(text.encode(), places)] + [masker.flush()]

    assert b"".join(pieces).decode() == whole


@given(st.text("abcd\n ", max_size=60), SECRETS, st.lists(st.integers(0, 60), max_size=8))
def test_no_secret_survives(text, secrets, places):
    """However the stream is cut, no secret stands in what comes out."""
    masker = Masker(secrets)

    out = b"".join([*map(masker.feed, cut(text.encode(), places)), masker.flush()]).decode()

    assert not [secret for secret in secrets if secret.strip() and secret in out]


@given(st.text("abcd", max_size=40), st.lists(st.text("abc", max_size=5), max_size=4))
def test_overlapping_secrets_are_covered_to_their_last_character(text, secrets):
    """What is covered is the union of all occurrences, no more and no less."""
    masked = Masker(secrets).mask_text(text)

    assert masked == covered_by_hand(text, secrets)


@given(st.binary(max_size=80), st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3))
def test_never_more_is_held_back_than_the_longest_secret_less_one(data, secrets):
    """Live output stays live: at most the beginning of a secret waits."""
    masker = Masker(secrets)
    longest = max(len(secret.encode()) for secret in secrets)

    for end in range(len(data)):
        masker.feed(data[end : end + 1])

        assert len(masker._held) <= max(longest - 1, 0)


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        ([], "plain", "plain"),
        (["", "  ", "\n"], "a  b\n", "a  b\n"),
        (["token"], "token=tokentoken", "***=******"),
        (["ab", "abcd"], "abcd ab", "*** ***"),
        (["ab", "bcdef"], "abcdef", "***"),
        (["aa"], "aaaaa", "***"),
        (["s3cret\n"], "<s3cret>", "<***>"),
        (["first-line\nsecond-line"], "first-line\r\nsecond-line", "***"),
        (["first-line\nsecond-line"], "only second-line", "only ***"),
        (["first-line\nEOF"], "EOF", "EOF"),
        (["it's"], """+ : 'it'"'"'s' 'it'\\''s'""", "+ : '***' '***'"),
        (["pässwörd"], "ein pässwörd!", "ein ***!"),
    ],
)
def test_what_counts_as_a_secret(secrets, text, masked):
    """Blank values are none; a trailing newline is not part; each long line of a key is one."""
    masker = Masker(secrets)

    streamed = masker.feed(text.encode()) + masker.flush()

    assert (masker.mask_text(text), streamed.decode()) == (masked, masked)


def test_output_that_cannot_begin_a_secret_passes_at_once():
    """A progress line without a newline is seen while it stands."""
    masker = Masker(["hunter2"])

    assert masker.feed(b"building 50%") == b"building 50%"


def test_bytes_that_are_no_text_pass_unchanged():
    """Binary output survives masking byte for byte."""
    masker = Masker(["hunter2"])
    data = bytes(range(256)) * 3

    assert masker.feed(data) + masker.flush() == data
