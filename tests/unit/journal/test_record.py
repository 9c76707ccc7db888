"""Artifacts in every view and in the log: what is made, how far it is, what became of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stalker.journal.views.plain import PlainView
from stalker.journal.views.progress import Progress
from stalker.journal.views.screen import final_rows, rows
from stalker.journal.views.wording import nothing_words, plan_line, progress_words
from stalker.journal.writer import Journal
from stalker.model.artifacts import ArtifactId
from stalker.model.events import (
    ArtifactFinished,
    ArtifactProgress,
    ArtifactStarted,
    Planned,
    PlannedArtifact,
    PlannedStep,
    RunFinished,
    StepReused,
)
from stalker.model.tree import StepId
from unit.helpers.story import T, run_started
from unit.helpers.streams import Pipe

IMAGE, KERNEL, REPO = map(ArtifactId, ("pi/image", "pi/kernel", "pi/repo"))
STEP = StepId("pi:final")
PLANNED = Planned(
    T + 0.2,
    (PlannedStep(STEP, "REUSE", "unchanged"),),
    (),
    (
        PlannedArtifact(IMAGE, "MAKE", "not made yet"),
        PlannedArtifact(KERNEL, "PROVE", "the boot test changed"),
        PlannedArtifact(REPO, "REUSE", "unchanged"),
    ),
)
REFUSED = ArtifactFinished(
    T + 30,
    IMAGE,
    "unproven",
    29.0,
    "artifacts/x/pi/image-1.unproven",
    500_000_000,
    "the boot test failed: 'login:' did not come",
    "",
    "look at its console",
    ("Kernel panic \x1b[2J- not syncing",),
    "artifacts/x/pi/image-1.unproven/boot.log",
)


def story():
    return [
        run_started(),
        PLANNED,
        StepReused(T + 0.3, STEP, "sha256:1", "unchanged"),
        ArtifactStarted(T + 1, IMAGE, "MAKE", "not made yet"),
        ArtifactStarted(T + 1, KERNEL, "PROVE", "the boot test changed"),
        ArtifactProgress(T + 1, IMAGE, "filling pi.img", 0, 1_000_000_000),
        ArtifactProgress(T + 3, IMAGE, "filling pi.img", 100_000_000, 1_000_000_000),
        ArtifactFinished(T + 5, KERNEL, "done", 4.0, "artifacts/x/pi/kernel", 48_000_000),
        ArtifactProgress(T + 11, IMAGE, "filling pi.img", 500_000_000, 1_000_000_000),
        REFUSED,
        RunFinished(T + 31, "r1", 1, 0, 1, (), (), 31.0, made=1, kept=1, unmade=(IMAGE,)),
    ]


def shown(events, **how):
    stream = Pipe()
    view = PlainView(stream, **how)
    for event in events:
        view.on_event(event)
    return stream.text


def test_artifacts_are_told_in_plain_lines():
    """A line when it begins, one now and then with the rate, and why it was refused."""
    assert (
        shown(story())
        == """\
plan: 1 step reused, 1 artifact to make, 1 artifact to prove
pi/image  making: not made yet
pi/kernel  proving: the boot test changed
pi/kernel  published in 4.0 s: artifacts/x/pi/kernel, 45.8 MiB
pi/image  filling pi.img  477 MiB of 954 MiB, 47.7 MiB/s, about 10 s left
pi/image  refused after 29 s: the boot test failed: 'login:' did not come
  | Kernel panic - not syncing
  look at its console
  console: artifacts/x/pi/image-1.unproven/boot.log
  not published; it is kept in artifacts/x/pi/image-1.unproven
failed: 0 steps ran, 1 reused, 1 artifact published, 1 artifact not (pi/image) in 31 s
"""
    )


def test_quiet_tells_what_went_wrong_alone():
    text = shown(story(), detail="errors")

    assert text.startswith("pi/image  refused after 29 s")
    assert "published in" not in text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"state": "failed", "brief": "no /boot"}, "pi/image  failed after 29 s: no /boot"),
        ({"state": "blocked", "brief": "pi:x failed"}, "pi/image  blocked: pi:x failed"),
        ({"state": "cancelled"}, "pi/image  cancelled after 29 s"),
    ],
)
def test_how_an_artifact_ended(changes, line):
    event = replace(REFUSED, last_lines=(), log="", resolution="", brief="", state="failed")

    assert shown([replace(event, **changes)]).splitlines()[0] == line


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, None, "writing x"),
        (0, 100, "writing x"),
        (3000, None, "writing x  2.93 KiB, 1.47 KiB/s"),
        (3000, 9000, "writing x  2.93 KiB of 8.79 KiB, 1.47 KiB/s, about 4.0 s left"),
        (3000, 2000, "writing x  2.93 KiB, 1.47 KiB/s"),
    ],
)
def test_progress_says_rate_and_time_left(done, total, words):
    """A total that proves too small is not shown: what is left would be a lie."""
    assert progress_words(ArtifactProgress(T + 2, IMAGE, "writing x", done, total), T) == words


@pytest.mark.parametrize(
    ("steps", "artifacts", "words"),
    [
        (1, 0, "nothing to do: 1 step is there"),
        (3, 0, "nothing to do: 3 steps are there"),
        (1, 2, "nothing to do: 1 step and 2 artifacts are there"),
    ],
)
def test_nothing_to_do_counts_artifacts(steps, artifacts, words):
    assert nothing_words(steps, artifacts) == words


def test_a_plan_with_nothing_to_make_is_no_line():
    assert plan_line(replace(PLANNED, artifacts=PLANNED.artifacts[2:])) == ""


def screen(events, now):
    progress = Progress()
    for event in events:
        progress.on_event(event)
    return progress, [f"{row.kind}: {row.text}" for row in rows(progress, now, 24, 100)]


def test_the_live_view_shows_how_far_it_is():
    _, seen = screen(story()[:7], T + 3)

    assert "running: artifact pi/image" in seen
    assert "output: filling pi.img  95.4 MiB of 954 MiB, 47.7 MiB/s, about 18 s left" in seen
    assert seen[-1].endswith("1 of 1 there, 2 artifacts being made")


def test_the_live_view_leaves_what_became_of_it():
    progress, seen = screen(story()[:10], T + 30)

    left = [f"{row.kind}: {row.text}" for row in final_rows(progress)]
    assert left == [
        "failed: pi/image  refused after 29 s: the boot test failed: 'login:' did not come",
        "done: pi/kernel  published in 4.0 s: artifacts/x/pi/kernel, 45.8 MiB",
        "reused: 1 stalk already there",
    ]
    assert not any("being made" in line for line in seen)


def test_the_log_has_an_action_for_each(tmp_path):
    """With the reason at its begin; why it failed, and how long each thing took, at its end."""
    journal = Journal(tmp_path, "r1")
    for event in story():
        journal.on_event(event)
    journal.close()

    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    actions = [line for line in lines if line.get("action_type") == "artifact"]
    ends = {line["state"]: line for line in actions if line["action_status"] != "started"}
    begins = [line for line in actions if line["action_status"] == "started"]
    assert journal.problem == ""
    assert [(line["artifact"], line["reason"]) for line in begins] == [
        ("pi/image", "not made yet"),
        ("pi/kernel", "the boot test changed"),
    ]
    assert ends["done"]["action_status"] == "succeeded"
    assert ends["unproven"]["action_status"] == "failed"
    assert ends["unproven"]["brief"] == "the boot test failed: 'login:' did not come"
    assert ends["unproven"]["log"].endswith("boot.log")
    assert ends["unproven"]["phases"] == [["filling pi.img", 29.0]]
    assert journal.path.read_text().count("filling") == 1
    plan = next(line for line in lines if line.get("message_type") == "plan")
    assert plan["artifacts"]["pi/image"] == "MAKE: not made yet"


def test_an_artifact_of_a_killed_run_is_closed(tmp_path):
    journal = Journal(tmp_path, "r1")
    for event in story()[:5]:
        journal.on_event(event)
    journal.close()

    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    ends = [
        line for line in lines if line.get("action_type") == "artifact" and line["action_status"] == "failed"
    ]
    assert len(ends) == 2
