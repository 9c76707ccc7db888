from __future__ import annotations

import pytest

from stalker.config.schema import card, tree
from stalker.config.schema.types import (
    Anything,
    Either,
    Flag,
    Items,
    Keys,
    Scalar,
    Text,
    Whole,
    check,
    values,
)
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Invalid, Report


def even(text: str) -> int:
    if int(text) % 2:
        raise Invalid(f"{text} is odd", "write an even number")
    return int(text)


SHAPE = Keys(
    {
        "name": Text(read=str.upper),
        "kind": Text(allowed=("a", "b")),
        "count": Either((Whole(), Text(read=even)), field="count_of_all"),
        "on": Flag(field="is_on"),
        "words": Items(Text(read=lambda text: tuple(text.split(","))), or_one=True),
        "inner": Keys({"x": Scalar()}),
        "raw": Anything(),
    }
)


def bound(text: str):
    report = Report()
    root = read_hjson(text, "f.hjson").root
    check(root, SHAPE, {}, report)
    return values(root, SHAPE.keys, report), [str(problem) for problem in report.sorted()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{name: "x"}', {"name": "X"}),
        ("{count: 3}", {"count_of_all": 3}),
        ('{count: "4"}', {"count_of_all": 4}),
        ("{on: false}", {"is_on": False}),
        ('{words: "a,b"}', {"words": ("a", "b")}),
        ('{words: ["a", "b,a"]}', {"words": ("a", "b")}),
        ("{inner: {x: 1.50}}", {"inner": {"x": "1.50"}}),
        ('{name: "x", words: []}', {"name": "X", "words": ()}),
    ],
)
def test_what_is_right_becomes_a_field(text, expected):
    """A declaration names the field and converts the text."""
    assert bound(text) == (expected, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{count: "3"}', "f.hjson:1:9: count: 3 is odd\n  write an even number"),
        ("{name: [1]}", "f.hjson:1:8: name: must be text, is a list"),
        ('{kind: "c"}', "f.hjson:1:8: kind: 'c' is not possible here\n  known: a, b"),
        ("{on: 1}", "f.hjson:1:6: on: must be true or false, is a number"),
        ("{nam: 1}", "f.hjson:1:2: nam: unknown key 'nam'\n  did you mean 'name'?"),
    ],
)
def test_what_is_wrong_is_reported_once_and_left_to_the_default(text, problem):
    """With file, line, column and what to write in its place."""
    assert bound(text) == ({}, [problem])


def shapes_below(shape):
    """Return a declaration and all below it."""
    children = []
    if isinstance(shape, Keys):
        children = [*shape.keys.values(), *([shape.others] if shape.others is not None else [])]
    elif isinstance(shape, Items):
        children = [shape.item]
    elif isinstance(shape, Either):
        children = list(shape.shapes)
    return [shape, *(deep for child in children for deep in shapes_below(child))]


@pytest.mark.parametrize("shape", [card.IMAGE, *tree.KINDS.values(), *tree.NAMED.values()])
def test_required_keys_are_declared(shape):
    """A key that must be given can be given."""
    assert [
        keys
        for one in shapes_below(shape)
        if isinstance(one, Keys)
        for keys in one.required
        if keys not in one.keys
    ] == []
