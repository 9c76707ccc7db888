"""Heads of answers: versions, ranges, and when to come back."""

import base64
import hashlib
import time
from email.utils import formatdate

import pytest

from stalker.fetch.cache.entry import Validators
from stalker.fetch.http.headers import retry_after_s, sent_range, strong_validator, validators_of

DIGEST = hashlib.sha256(b"x")
IN_HEAD = base64.b64encode(DIGEST.digest()).decode()


def test_retry_after_may_be_a_date():
    """RFC 9110 allows both."""
    assert retry_after_s({"retry-after": "7"}) == 7
    assert 50 < retry_after_s({"retry-after": formatdate(time.time() + 60, usegmt=True)}) <= 60
    assert retry_after_s({"retry-after": "soon"}) == 0
    assert retry_after_s({}) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"repr-digest": f"sha-256=:{IN_HEAD}:"},
        {"digest": f"md5=abc,SHA-256={IN_HEAD}"},
        {"repr-digest": "sha-256=broken", "digest": f"sha-256={IN_HEAD}"},
    ],
)
def test_a_digest_in_the_head_is_read(headers):
    """In the form of either RFC; what a mirror redirected with counts too."""
    assert validators_of(headers).sha256 == DIGEST.hexdigest()
    assert validators_of({}, [{}, headers]).sha256 == DIGEST.hexdigest()


def test_the_length_of_a_part_is_not_that_of_the_whole():
    """An answer to a range has both."""
    assert validators_of({"content-length": "5"}).length == 5
    assert validators_of({"content-length": "5", "content-range": "bytes 0-4/9"}).length is None
    assert validators_of({"content-length": "-1"}).length is None


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", None),
        ("", None),
        ("items 1-2/3", None),
    ],
)
def test_ranges_are_read(text, range_):
    """RFC 9110, 14.4."""
    assert sent_range({"content-range": text}) == range_


def test_a_weak_etag_says_nothing_about_bytes():
    """The date is taken then."""
    assert strong_validator(Validators('W/"1"', "Mon")) == "Mon"
    assert strong_validator(Validators('"1"', "Mon")) == '"1"'
    assert strong_validator(Validators('W/"1"')) == ""
