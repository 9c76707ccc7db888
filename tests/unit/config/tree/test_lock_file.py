"""The lock file as text: what is written is read, and what is wrong is reported with its place."""

from __future__ import annotations

import pytest

from stalker.config.tree.lock_file import Lock, lock_text, read_lock
from stalker.errors import FilesError


def test_what_is_written_is_read_again():
    """Commits of digits alone, and refs and URLs with all that Hjson takes for something, stay as they are."""
    lock = Lock(
        {"https://h/a,b?c=#1": "0" * 64, "https://h/z": "ab" * 32},
        {
            ("u@h:r.git", "v1.10"): "1" * 40,
            ("u@h:r.git", "{x}"): "2e" * 32,
            ("https://h/r", "HEAD"): "c" * 40,
        },
    )

    assert read_lock(lock_text(lock), "t.lock.hjson") == lock


def test_a_lock_of_nothing_is_read_again():
    assert read_lock(lock_text(Lock()), "t.lock.hjson") == Lock()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{ urls: { a: sha256:12 } }", "64 hexadecimal digits"),
        ("{ git: { a: { main: main } } }", "a full commit"),
        ("{ git: { a: main } }", "a mapping"),
        ("{ bases: { a: b } }", "unknown key"),
        ("{ urls: {", ""),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(text, what):
    with pytest.raises(FilesError) as caught:
        read_lock(text, "t.lock.hjson")

    assert what in caught.value.problems[0].what
    assert caught.value.problems[0].place.file == "t.lock.hjson"
    assert caught.value.problems[0].place.line == 1
