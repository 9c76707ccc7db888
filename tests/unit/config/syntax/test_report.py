from __future__ import annotations

import pytest

from stalker.config.syntax.report import Invalid, Report, did_you_mean
from stalker.model.diagnostics import Place, Problem

HERE = Place("t.hjson", 2, 3, "a")


def even(text: str) -> int:
    if int(text) % 2:
        raise Invalid(f"{text} is odd", "write an even number")
    return int(text)


def test_what_can_be_converted_is_returned():
    """And nothing is reported."""
    report = Report()

    assert report.attempt(HERE, even, "4") == 4
    assert not report.has_errors


@pytest.mark.parametrize(
    ("text", "hint"), [("3", "write an even number"), ("x", "")], ids=["with a hint", "without one"]
)
def test_what_cannot_be_converted_is_an_error_at_its_place(text, hint):
    """With what to write in its place, where the conversion says so."""
    report = Report()

    assert report.attempt(HERE, even, text) is None
    assert [(problem.place, problem.hint) for problem in report.errors()] == [(HERE, hint)]


def test_problems_are_sorted_by_place_and_reported_once():
    """Whatever order they were found in."""
    report = Report()
    for line in (3, 1, 3):
        report.problem(Place("t.hjson", line, 1), "wrong")
    report.warning(Place("t.hjson", 2, 1), "doubtful")

    assert [problem.place.line for problem in report.sorted()] == [1, 2, 3]
    assert [problem.place.line for problem in report.errors()] == [1, 3]
    assert report.warnings() == ("t.hjson:2:1: doubtful",)


def test_a_doubt_about_a_value_is_shown_with_the_error():
    """The reader of the syntax saw what spoiled it."""
    report = Report()
    report.take([Problem(HERE, "a comment is part of the text", "put quotes around it", is_warning=True)])
    report.problem(HERE, "'x # y' is wrong", "write x")

    assert report.errors()[0].hint == "write x\n  put quotes around it"


def test_an_error_replaces_those_below_it():
    """A key that was meant as another one has no wrong keys."""
    report = Report()
    report.problem(Place("t.hjson", 5, 1, "a.b"), "unknown key")
    report.problem_instead(HERE, "no stalk file")

    assert [problem.what for problem in report.errors()] == ["no stalk file"]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("lable", ["label", "size"], "did you mean 'label'?"),
        ("LABEL", ["label", "size"], "did you mean 'label'?"),
        ("zzz", ["b", "a"], "keys: a, b"),
        ("zzz", [], "there are no keys"),
        ("zzz", [f"k{number}" for number in range(13)], ""),
    ],
)
def test_the_nearest_name_is_offered_or_all_of_few(name, known, hint):
    """A slip costs one look."""
    assert did_you_mean(name, known, "keys") == hint
