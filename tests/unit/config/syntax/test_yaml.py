import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.config.syntax.document import plain
from stalker.config.syntax.yaml import read_yaml


def problems(text):
    return [f"{one.place.line}:{one.place.column}: {one.what}" for one in read_yaml(text, "f").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("---\n", {}),
        ("---\na: 1\n", {"a": 1}),
        ("a: yes\nb: off\nc: 'yes'\nd: y\n", {"a": True, "b": False, "c": "yes", "d": "y"}),
        (
            "a: 1.5\nb: 0\nc: 1_000\nd: ~\ne: 1:30\nf: 2024-01-02\n",
            {"a": 1.5, "b": 0, "c": 1000, "d": None, "e": "1:30", "f": "2024-01-02"},
        ),
        ("a: [1, {b: c}]\n", {"a": [1, {"b": "c"}]}),
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": 1}, "c": {"b": 1}}),
        ("x: &x {b: 1, d: 2}\nc: {<<: *x, b: 3}\n", {"x": {"b": 1, "d": 2}, "c": {"b": 3, "d": 2}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("8080: x\n", {"8080": "x"}),
    ],
)
def test_values_are_those_of_yaml(text, value):
    """What a user of YAML expects, with dates left as text."""
    document = read_yaml(text, "f")

    assert document.problems == []
    assert plain(document.root) == value


def test_a_value_knows_where_it_stands():
    """Line, column and keys, from 1."""
    document = read_yaml("files:\n  filters:\n    - pattern: x\n      max_num: two\n", "p.yaml")
    node = document.root.get("files").get("filters").value[0].get("max_num")

    assert str(node.place) == "p.yaml:4:16"
    assert str(node.key_place) == "p.yaml:4:7"
    assert node.place.path == "files.filters.0.max_num"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", ["3:1: key 'a' is given twice"]),
        ("a: [1\nb: 2\n", ["2:2: expected ',' or ']', but got ':'"]),
        ("a:\n\tb: 1\n", ["2:1: a tab cannot indent"]),
        ("a: 1\n---\nb: 1\n", ["2:1: a second document begins here"]),
        (
            "a: !!python/object:os.system x\n",
            ["1:4: the tag tag:yaml.org,2002:python/object:os.system means"],
        ),
        ("a: !mine x\n", ["1:4: the tag !mine means nothing here"]),
        ("? [a, b]\n: c\n", ["1:3: a key is one word or text"]),
        ("a: *gone\n", ["1:4: found undefined alias 'gone'"]),
        ("a: b\0c\n", ["1:5: no text"]),
        ("<<: x\n", ["1:5: '<<' takes a mapping"]),
        ("a: " + "[" * 200 + "]" * 200, ["1:104: nested deeper"]),
        ("a: " + "[" * 99999, ["1:1: nested deeper"]),
        ("a: &a [*a]\n", ["1:4: nested deeper than 100"]),
        ("a: 1\na: 2\nb: 1\nb: 2\n", ["2:1: key 'a'", "4:1: key 'b'"]),
    ],
)
def test_a_slip_is_told_with_its_place(text, said):
    """Never a traceback, whatever stands in the file."""
    found = problems(text)

    assert len(found) == len(said), found
    assert [one[: len(part)] for one, part in zip(found, said, strict=True)] == said


def test_aliases_of_aliases_do_not_fill_the_memory():
    """Nine lines that stand for a thousand million words."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert "too many values" in problems("\n".join(lines))[0]


# PyYAML writes U+0085, U+2028 and U+2029 in such a way that it does not read them back itself.
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_pyyaml_writes_is_read_back(value):
    """The reader holds against the writer for any value."""
    document = read_yaml(yaml.safe_dump(value, allow_unicode=True), "f")

    assert document.problems == []
    assert same(plain(document.root), value)


def same(found, wanted):
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float) and math.isinf(wanted):
        return str(found).lstrip("-") == ".inf"
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_told(text):
    """A root or a problem, and never an exception."""
    document = read_yaml(text, "f")

    assert (document.root is None) <= bool(document.problems)
