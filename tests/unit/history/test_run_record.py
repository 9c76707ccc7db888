"""What a journal says of its run."""

from __future__ import annotations

import json

import pytest

from stalker.errors import PlanError
from stalker.history.run_record import read_record
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
    StepFinished,
    StepStarted,
)
from unit.helpers.story import BASE, DB, DUMP, IMAGE, WEB, T, run_started, story


def record_of(tmp_path, events, **how):
    journal = Journal(tmp_path, "r1")
    for event in events:
        journal.on_event(event)
    if how.get("close", True):
        journal.close()
    return read_record(journal.path)


def test_the_story_is_read_back(tmp_path):
    """A retry, a failure and what it blocked, with the graph and all times."""
    found = record_of(tmp_path, story())

    assert (found.run, found.tree, found.exit_code) == ("r1", "x", 1)
    assert {name: step.state for name, step in found.steps.items()} == {
        "base:apt": "reused",
        "web:nginx": "done",
        "web:tune": "done",
        "db:pg": "failed",
        "db:dump": "blocked",
    }
    web = found.steps[WEB]
    assert [attempt.state for attempt in web.attempts] == ["failed", "done"]
    assert (web.parent, web.estimate_s, web.reason) == (BASE, 3.0, "variable PORT: 8080 -> 80")
    assert web.image == web.attempts[-1].image != ""
    assert found.steps[BASE].image == IMAGE
    assert found.steps[DB].attempts[-1].exit_code == 7
    assert found.steps[DUMP].blocked_by
    assert [(base.stalk, base.took_s) for base in found.bases] == [("base", 1.0)]
    assert ("warning", "sysroot: no such folder") in [(level, text) for _, level, text in found.notes]


def test_a_killed_run_reads_up_to_where_it_was_killed(tmp_path):
    """Its last line may be cut; what has no end has none."""
    journal = Journal(tmp_path, "r1")
    for event in story()[:12]:
        journal.on_event(event)
    with journal.path.open("ab") as stream:
        stream.write(b'{"cut')

    found = read_record(journal.path)

    assert (found.exit_code, found.ended_s, found.took_s) == (None, None, None)
    assert found.steps[WEB].state == "running"
    assert found.last_s > found.began_s


def test_artifacts_have_their_phases(tmp_path):
    one = ArtifactId("pi/image")
    found = record_of(
        tmp_path,
        [
            run_started(),
            Planned(
                T + 1,
                (PlannedStep(BASE, "REUSE", "unchanged", fingerprint="f" * 64),),
                (),
                (
                    PlannedArtifact(one, "MAKE", "not made yet"),
                    PlannedArtifact(ArtifactId("pi/k"), "REUSE", "unchanged"),
                ),
            ),
            ArtifactStarted(T + 2, one, "MAKE", "not made yet"),
            ArtifactProgress(T + 3, one, "filling", 1, 2),
            ArtifactProgress(T + 4, one, "filling", 2, 2),
            ArtifactProgress(T + 5, one, "compressing"),
            ArtifactFinished(T + 9, one, "done", 7.0, "artifacts/x", 12),
            RunFinished(T + 9, "r1", 0, 0, 1, (), (), 9.0, made=1, kept=1),
        ],
    )

    image = found.artifacts[one]
    assert (image.state, image.took_s, image.phases) == (
        "done",
        7.0,
        (("filling", 2.0), ("compressing", 4.0)),
    )
    assert found.kept_artifacts == {"pi/k": "unchanged"}
    assert found.steps[BASE].fingerprint == "f" * 64


def test_what_was_measured_is_read(tmp_path):
    end = StepFinished(
        T + 9,
        WEB,
        1,
        "done",
        8.0,
        0,
        "sha256:2",
        script_s=7.0,
        added_bytes=5,
        cpu_s=1.5,
        memory_bytes=9,
        commit_s=0.5,
    )
    found = record_of(tmp_path, [run_started(), StepStarted(T + 1, WEB, 1, "logs/w.txt"), end])

    attempt = found.steps[WEB].attempts[0]
    assert (attempt.script_s, attempt.added_bytes, attempt.cpu_s, attempt.memory_bytes) == (7.0, 5, 1.5, 9)
    assert attempt.commit_s == pytest.approx(0.5)
    assert attempt.log == "logs/w.txt"


@pytest.mark.parametrize(
    "content", [None, "", "not json\n", json.dumps({"timestamp": 1, "action_type": "other"})]
)
def test_what_is_not_a_journal_is_refused(tmp_path, content):
    path = tmp_path / "eliot.txt"
    if content is not None:
        path.write_text(content)

    with pytest.raises(PlanError):
        read_record(path)
