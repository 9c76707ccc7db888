"""Versions of a file are distinguished by what servers report of them."""

import pytest

from stalker.fetch.cache.entry import Validators


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        (Validators('"1"'), Validators('"1"'), True),
        (Validators('W/"1"'), Validators('"1"'), True),
        (Validators('"1"', sha256="a"), Validators('"2"', sha256="a"), True),
        (Validators('"1"', sha256="a"), Validators('"1"', sha256="b"), False),
        (Validators('"1"', "Mon", 5), Validators("", "Mon", 5), True),
        (Validators("", "Mon", 5), Validators("", "Mon", 6), False),
        (Validators("", "Mon"), Validators("", "Mon"), False),
        (Validators(), Validators(), False),
    ],
)
def test_the_first_mark_that_both_have_decides(old, new, is_same):
    """Digest, ETag, then date with length; without any, it is another version."""
    assert old.is_same(new) is is_same


def test_a_server_is_asked_for_something_newer():
    """By the ETag, else by the date; without either, for all of it."""
    assert Validators('"1"', "Mon").question() == {"If-None-Match": '"1"'}
    assert Validators("", "Mon").question() == {"If-Modified-Since": "Mon"}
    assert Validators(sha256="a").question() == {}
