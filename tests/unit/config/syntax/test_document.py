from __future__ import annotations

import pytest

from stalker.config.syntax.document import is_true, items_of, leave_out_nulls, plain, text_of, walk
from stalker.config.syntax.hjson import read_hjson

TEXT = """{
  a: {
    b: [ 1, "two" ]
    c: null
  }
  d: true
}
"""


@pytest.fixture
def root():
    return read_hjson(TEXT, "f.hjson").root


def test_a_value_knows_its_line_column_and_path(root):
    """What messages begin with."""
    inner = root.get("a").get("b").value[1]

    assert (str(inner.place), inner.place.path) == ("f.hjson:3:13", "a.b.1")
    assert str(root.get("d").key_place) == "f.hjson:6:3"


def test_all_values_are_walked_over(root):
    """A mapping, a list and what is in them."""
    assert [node.text for node in walk(root) if not isinstance(node.value, dict | list)] == [
        "1",
        "two",
        "null",
        "true",
    ]


def test_keys_without_a_value_can_be_left_out(root):
    """However deep."""
    leave_out_nulls(root)

    assert plain(root) == {"a": {"b": [1, "two"]}, "d": True}


def test_a_value_of_another_kind_is_nothing(root):
    """Its kind is reported by its declaration."""
    assert text_of(root.get("d")) == text_of(None) == ""
    assert is_true(root.get("d"))
    assert not is_true(root.get("a"))
    assert len(items_of(root.get("a"))) == 1
    assert items_of(None) == []


@pytest.mark.parametrize(
    ("text", "lack"), [("", "the file is empty"), ("{}", "there is nothing in the file"), ("{a: 1}", "")]
)
def test_a_file_without_a_key_says_what_it_lacks(text, lack):
    """An empty file is one that was not saved; `{}` is one that was not filled in."""
    assert read_hjson(text, "f").lack == lack
