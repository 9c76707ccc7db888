"""The tree after all merging, as a tree file."""

from __future__ import annotations

import hjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.syntax.document import plain
from stalker.config.syntax.hjson import read_hjson
from stalker.config.tree.resolved import as_hjson, resolved_text
from stalker.errors import FilesError


@pytest.fixture
def greeting(space):
    space.step("GREETING: ''\n NAME: ''\n V: ''")
    space.tree("NAME: node\n V: 1.10\n base: [ { tag: 'a:1' } ]", "globals: { GREETING: 'hello' }")
    return space


def test_the_text_reads_as_the_merged_tree(greeting):
    """All variables have the values that the run with the same options gives them."""
    greeting.write("w.yaml", "globals:\n  GREETING: yes\nstalks:\n  web:\n    base: null\n")
    before = greeting.read({"NAME": "typed"}, "w.yaml")

    greeting.write("trees/t/t.hjson", resolved_text("t", str(greeting.root), {"NAME": "typed"}, ["w.yaml"]))

    after = greeting.read()
    values = [(one.name, one.value) for one in before.stalks[0].steps[0].variables]
    assert values == [("GREETING", "yes"), ("NAME", "typed"), ("V", "1.10")]
    assert [(one.name, one.value) for one in after.stalks[0].steps[0].variables] == values
    assert [base.name for base in after.stalks[0].bases] == [base.name for base in before.stalks[0].bases]


def test_a_variable_that_is_only_set_becomes_a_global(greeting):
    greeting.tree("NAME: node\n V: 1")

    text = resolved_text("t", str(greeting.root), {"GREETING": "typed"})

    assert hjson.loads(text)["globals"] == {"GREETING": "typed"}


def test_a_tree_with_problems_is_not_printed(greeting):
    greeting.write("w.hjson", "globals: { X: 1 }")

    with pytest.raises(FilesError):
        resolved_text("t", str(greeting.root), {}, ["w.hjson"])


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    st.dictionaries(st.text("abcXYZ_ :#{'", min_size=1, max_size=4), TEXTS | st.integers() | st.booleans())
)
def test_what_is_written_reads_as_the_same(values):
    """Any text: with quotes, line ends, `'''` or what looks like a comment."""
    root = read_hjson(as_hjson({"a": values, "b": [values]}), "").root

    assert root is not None
    assert plain(root) == {"a": values, "b": [values]}
