"""Which state of a row is the first bad one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.errors import PlanError
from stalker.history.bisect import Bisection, changes_of_verdict, search, verdict_of


@given(st.integers(2, 200), st.data())
def test_the_first_bad_state_is_found_with_few_tests(count, data):
    """Two for the ends, then the logarithm of what is between them."""
    first = data.draw(st.integers(1, count - 1))
    bisection = Bisection(count)

    search(bisection, lambda number: "bad" if number >= first else "good")

    assert list(bisection.suspects()) == [first]
    assert len(bisection.results) <= 3 + math.ceil(math.log2(count))


@given(st.integers(3, 40), st.data())
def test_what_is_skipped_stays_suspect_and_is_tested_once(count, data):
    """The culprit is always among the suspects, and each suspect but the last was skipped."""
    first = data.draw(st.integers(1, count - 1))
    skipped = data.draw(st.sets(st.integers(1, count - 2))) - {0, count - 1}
    tested = []
    bisection = Bisection(count)

    def test(number):
        tested.append(number)
        return "skip" if number in skipped else "bad" if number >= first else "good"

    search(bisection, test)

    suspects = list(bisection.suspects())
    assert first in suspects
    assert set(suspects[:-1]) <= skipped
    assert len(tested) == len(set(tested))


def test_results_of_an_interrupted_search_are_not_asked_for_again():
    bisection = Bisection(9, {8: "bad", 0: "good", 4: "bad"})

    assert bisection.next() == 2


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({4: "good"}, "the youngest state is good"),
        ({4: "bad", 0: "bad"}, "the oldest state is bad"),
        ({4: "skip"}, "the youngest state cannot be tested"),
    ],
)
def test_ends_that_are_not_as_expected_are_named(results, said):
    with pytest.raises(PlanError, match=said):
        Bisection(5, results).next()


def test_every_change_of_the_verdict_is_found_when_all_are_tested():
    """A file that is filled and emptied again has two."""
    results = {0: "good", 1: "bad", 2: "skip", 3: "bad", 4: "good", 5: "bad"}

    assert changes_of_verdict(results) == [(1, "bad"), (4, "good"), (5, "bad")]


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "good"), (1, "bad"), (124, "bad"), (125, "skip"), (126, "bad"), (127, "bad")]
)
def test_exit_codes_mean_what_they_mean_to_git(code, verdict):
    assert verdict_of(code, is_good_end=False) == verdict


@pytest.mark.parametrize(("code", "is_good_end"), [(128, False), (137, False), (126, True), (127, True)])
def test_a_command_that_is_at_fault_itself_stops_the_search(code, is_good_end):
    with pytest.raises(PlanError):
        verdict_of(code, is_good_end=is_good_end)
