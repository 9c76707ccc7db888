"""Results in plain words."""

import pytest

from stalker.journal.views.wording import (
    nothing_words,
    plan_line,
    progress_words,
    result_words,
    some,
    summary_lines,
)
from stalker.model.events import ArtifactProgress, Planned, PlannedStep, RunFinished, StepFinished


def test_more_names_than_five_are_counted():
    assert some(list("abcde")) == "a, b, c, d, e"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_plan_with_nothing_to_do_says_nothing():
    steps = [PlannedStep(f"s:{verdict}", verdict, "") for verdict in ("REUSE", "RUN", "BLOCKED")]

    assert plan_line(Planned(0.0, tuple(steps))) == "plan: 1 step to run, 1 reused, 1 blocked"
    assert plan_line(Planned(0.0, tuple(steps[:1]))) == ""


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        ({"state": "done"}, "done in 3.2 s"),
        ({"state": "failed", "exit_code": 7}, "failed with exit code 7 after 3.2 s"),
        ({"state": "failed", "exit_code": 7, "brief": "s:a: it left x"}, "failed after 3.2 s: it left x"),
        ({"state": "timeout", "will_retry_in_s": 2.0}, "ran out of time after 3.2 s, trying again in 2.0 s"),
        ({"state": "cancelled"}, "cancelled after 3.2 s"),
    ],
)
def test_the_end_of_an_attempt_is_said_with_its_cause(finished, words):
    assert result_words(StepFinished(0.0, "s:a", 1, duration_s=3.2, **finished)) == words


@pytest.mark.parametrize(
    ("steps", "artifacts", "words"),
    [(1, 0, "1 step is there"), (2, 0, "2 steps are there"), (1, 1, "1 step and 1 artifact are there")],
)
def test_nothing_to_do_is_said_with_what_is_there(steps, artifacts, words):
    assert nothing_words(steps, artifacts) == f"nothing to do: {words}"


def test_how_far_an_artifact_is_has_a_rate_and_an_end():
    half = ArtifactProgress(12.0, "s/a", "compressing", 50_000_000, 100_000_000)

    assert progress_words(half, 2.0).endswith("4.77 MiB/s, about 10 s left")
    assert progress_words(ArtifactProgress(12.0, "s/a", "compressing"), 2.0) == "compressing"


def test_an_error_that_is_of_no_step_is_said_before_the_summary():
    ended = RunFinished(0.0, "run", 3, 1, 2, (), ("s:b",), 4.0, brief="no engine", resolution="start one")

    assert summary_lines(ended) == [
        "error: no engine",
        "  start one",
        "failed: 1 step ran, 2 reused, 1 blocked in 4.0 s",
    ]
