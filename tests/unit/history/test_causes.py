"""Why two builds of a step differ."""

from __future__ import annotations

import pytest

from stalker.history.causes import Cause, cause_text, causes, text_diff

S1, S2 = "1" * 64, "2" * 64


class Known:
    """What was made under some fingerprints, written as a table."""

    def __init__(self, fields, names=None, texts=None):
        self._fields, self._names, self._texts = fields, names or {}, texts or {}

    def fields(self, fingerprint):
        return self._fields.get(fingerprint)

    def name(self, fingerprint):
        return self._names.get(fingerprint, "")

    def text(self, digest):
        return self._texts.get(digest)


def test_the_way_leads_down_parents_and_needs_to_what_changed():
    """Each cause once; what only follows from another cause is not a cause of its own."""
    known = Known(
        {
            "c1": {"script": S1, "parent": "b1", "needs r:f": "r1"},
            "c2": {"script": S1, "parent": "b2", "needs r:f": "r2"},
            "b1": {"script": S1, "parent": "a1"},
            "b2": {"script": S1, "parent": "a2"},
            "a1": {"script": S1, "variable X": "1"},
            "a2": {"script": S1, "variable X": "2"},
            "r1": {"script": S1, "parent": "a1"},
            "r2": {"script": S2, "parent": "a2"},
        },
        {"a2": "s:a", "b2": "s:b", "r2": "r:f"},
    )

    found = causes("s:c", "c1", "c2", known)

    assert found == [
        Cause(("s:c", "r:f"), "script", S1, S2),
        Cause(("s:c", "s:b", "s:a"), "variable X", "1", "2"),
    ] or found == [
        Cause(("s:c", "r:f"), "script", S1, S2),
        Cause(("s:c", "r:f", "s:a"), "variable X", "1", "2"),
    ]


def test_what_is_no_longer_known_is_said():
    known = Known({"b1": {"parent": "a1"}, "b2": {"parent": "a2"}})

    (cause,) = causes("s:b", "b1", "b2", known)

    assert (cause.way, cause.field) == (("s:b", "parent"), "")
    assert "no longer known" in cause_text(cause)


def test_a_parent_that_is_new_or_was_removed_is_a_cause_itself():
    """A step that starts from a base now has no way further down."""
    known = Known({"a": {"parent": "x"}, "b": {"base": "y"}})

    assert [(one.field, one.old, one.new) for one in causes("s:a", "a", "b", known)] == [
        ("base", None, "y"),
        ("parent", "x", None),
    ]


@pytest.mark.parametrize(
    ("field", "old", "new", "text"),
    [
        ("script", S1, S2, "script changed"),
        ("variable X", "1", "2", "variable X: 1 -> 2"),
        ("variable X", None, "2", "variable X is new: 2"),
        ("file /a", f"0644 {S1}", f"0644 {S2}", "file /a changed"),
        ("file /a", f"0644 {S1}", f"0755 {S1}", "file /a: mode 0644 -> 0755"),
        ("file /a", f"0644 {S1}", None, "file /a was removed: 0644 111111111111"),
        ("base", f"sha256:{S1}", f"sha256:{S2}", "base: sha256:111111111111 -> sha256:222222222222"),
    ],
)
def test_a_cause_reads_as_a_sentence(field, old, new, text):
    assert cause_text(Cause(("s:a",), field, old, new)) == text


def test_a_text_that_was_kept_is_shown_as_its_difference():
    """One that was not, or that is binary, is not guessed."""
    known = Known({}, texts={S1: b"a\nb\n", S2: b"a\nc\n"})
    cause = Cause(("s:a",), "script", S1, S2)

    assert text_diff(cause, known)[2:] == ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]
    assert text_diff(Cause(("s:a",), "file /x", None, f"0644 {S1}"), known)[-2:] == ["+a", "+b"]
    assert text_diff(cause, Known({}, texts={S1: b"a"})) == []
    assert text_diff(cause, Known({}, texts={S1: b"\0", S2: b""})) == []
    assert text_diff(Cause(("s:a",), "variable X", "1", "2"), known) == []
