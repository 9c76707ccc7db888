"""How far a run is, and how long it will still take."""

from __future__ import annotations

import pytest

from stalker.journal.views.progress import Progress
from stalker.model.events import BaseStarted, Planned, PlannedStep, StepFinished, StepReused, StepStarted
from stalker.model.tree import StepId
from unit.helpers.story import DB, DUMP, TUNE, WEB, T, story


def progress_of(events):
    progress = Progress()
    for event in events:
        progress.on_event(event)
    return progress


def planned(*steps):
    """Each is (id, parent, estimate in seconds)."""
    return Planned(
        T, tuple(PlannedStep(StepId(i), "RUN", "", StepId(p) if p else None, (), s) for i, p, s in steps)
    )


def test_every_step_has_a_state_at_the_end():
    """Done, failed and blocked are told apart."""
    progress = progress_of(story())

    states = {step.id: step.state for step in progress.steps.values()}
    assert states == {"base:apt": "reused", WEB: "done", TUNE: "done", DB: "failed", DUMP: "blocked"}
    assert [failure.step for failure in progress.failures] == [DB]


def test_counts_always_add_up_to_the_plan():
    """No event loses a step or counts one twice."""
    progress = Progress()
    for event in story():
        progress.on_event(event)

        assert progress.counts.total() == len(progress.steps)
        assert all(count >= 0 for count in progress.counts.values())
        assert sum(stalk.counts.total() for stalk in progress.stalks.values()) == len(progress.steps)


def test_stalks_stand_below_what_they_grow_on():
    """Also when a base was begun before there was a plan, and when the plan goes from branch to branch."""
    plan = planned(
        ("a:1", "", 1),
        ("b:1", "", 1),
        ("b1:1", "b:1", 1),
        ("a1:1", "a:1", 1),
        ("a2:1", "a1:1", 1),
        ("a3:1", "a:1", 1),
    )

    progress = progress_of([BaseStarted(T, "b", "x"), plan])

    depths = [(stalk.name, stalk.depth) for stalk in progress.stalks.values()]
    assert depths == [("b", 0), ("b1", 1), ("a", 0), ("a1", 1), ("a2", 2), ("a3", 1)]


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([], (9.0, True)),  # two branches of 5 and 4 s, one at a time as far as is known
        ([StepStarted(T, StepId("a:1"), 1, ""), StepStarted(T, StepId("b:1"), 1, "")], (5.0, True)),
        ([StepReused(T, StepId("a:1"), "", "")], (7.0, True)),
        ([StepFinished(T, StepId("a:1"), 1, "done", 2.0), StepReused(T, StepId("b:1"), "", "")], (3.0, True)),
    ],
)
def test_the_time_left_is_the_longest_path_or_the_sum_over_what_runs_at_once(events, left):
    """Estimates come from earlier runs."""
    plan = planned(("a:1", "", 2.0), ("a:2", "a:1", 3.0), ("b:1", "", 4.0))

    assert progress_of([plan, *events]).left_s(T) == left


def test_a_step_that_nobody_timed_makes_the_rest_a_lower_bound():
    """`at least`, not `about`."""
    plan = planned(("a:1", "", 2.0), ("a:2", "a:1", None))

    assert progress_of([plan]).left_s(T) == (2.0, False)


def test_a_step_over_its_estimate_never_counts_below_nothing():
    """Late is not early."""
    plan = planned(("a:1", "", 2.0))

    assert progress_of([plan, StepStarted(T, StepId("a:1"), 1, "")]).left_s(T + 60) == (0.0, True)
