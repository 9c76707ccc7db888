"""What the steps of earlier runs were made of, kept after their images are gone."""

from __future__ import annotations

from stalker.journal.inputs import TEXT_MAX_BYTES, InputStore

A, B = "a" * 64, "b" * 64


def test_inputs_and_texts_are_found_by_digest(tmp_path):
    """Only their owner can read them: a script may say more than its image."""
    store = InputStore(tmp_path / "logs")
    store.keep_fields(A, {"script": B, "variable X": "1"})
    store.keep_text(B, b"#!/bin/sh\n\xff")

    assert store.fields(A) == {"script": B, "variable X": "1"}
    assert store.text(B) == b"#!/bin/sh\n\xff"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "logs/inputs").iterdir()} == {0o600}


def test_what_is_kept_once_stays(tmp_path):
    """The name is the digest: a second writer has nothing else to say."""
    store = InputStore(tmp_path)
    store.keep_text(A, b"first")
    store.keep_text(A, b"second")

    assert store.text(A) == b"first"


def test_what_is_not_there_or_not_whole_is_none(tmp_path):
    """A text that is too long is not kept; no other name reads a file."""
    store = InputStore(tmp_path)
    store.keep_text(A, b"x" * (TEXT_MAX_BYTES + 1))
    store.keep_text("../escape", b"x")
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / B).write_text('{"cut')

    assert (store.text(A), store.text("../escape"), store.fields(B)) == (None, None, None)
    assert not (tmp_path / "escape").exists()
