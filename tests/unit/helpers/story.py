"""A made-up run: two branches at the same time, a retry, a failure, and what it blocks."""

from __future__ import annotations

from stalker.model.events import (
    BaseFinished,
    BaseProgress,
    BaseStarted,
    ContainerStarted,
    Event,
    FileRead,
    Note,
    Planned,
    PlannedStep,
    RunFinished,
    RunStarted,
    StepBlocked,
    StepFinished,
    StepOutput,
    StepReused,
    StepStarted,
    VariablesSet,
)
from stalker.model.tree import StepId

T = 1_700_000_000.0
IMAGE = "sha256:" + "4ca5a981c925" * 5 + "abcd"

BASE, WEB, TUNE, DB, DUMP = map(StepId, ("base:apt", "web:nginx", "web:tune", "db:pg", "db:dump"))


def run_started(at: float = T) -> RunStarted:
    argv = ("./stalker", "run", "trees/x/x.hjson")
    return RunStarted(at, "r1", "x", "trees/x/x.hjson", "/srv/ws", argv, "1.0")


def plan(*steps: PlannedStep, at: float = T + 0.2) -> Planned:
    return Planned(at, steps)


def story() -> list[Event]:
    """Web and db grow on base; nginx needs a second attempt; pg fails with exit code 7, dump is blocked."""
    return [
        run_started(),
        FileRead(T + 0.01, "trees/x/x.hjson", "ab" * 32),
        FileRead(T + 0.02, "stalks/web/web.hjson", "cd" * 32),
        VariablesSet(T + 0.03, WEB, (("PORT", "80", "trees/x/x.hjson:4"),)),
        Note(T + 0.04, "sysroot: no such folder", "warning"),
        plan(
            PlannedStep(BASE, "REUSE", "its image is there", image=IMAGE),
            PlannedStep(WEB, "RUN", "variable PORT: 8080 -> 80", parent=BASE, estimate_s=3.0),
            PlannedStep(TUNE, "RUN", "parent web:nginx ran", parent=WEB),
            PlannedStep(DB, "RUN", "no image yet", parent=BASE, estimate_s=5.0),
            PlannedStep(DUMP, "RUN", "parent db:pg ran", parent=DB),
        ),
        BaseStarted(T + 0.3, "base", "image debian:bookworm-slim"),
        BaseProgress(T + 0.4, "base", "pulling"),
        BaseFinished(T + 1.3, "base", "image debian:bookworm-slim", IMAGE, 1.0),
        StepReused(T + 1.31, BASE, IMAGE, "its image is there"),
        StepStarted(T + 1.4, WEB, 1, "logs/web/a-b-nginx-1.txt"),
        StepStarted(T + 1.5, DB, 1, "logs/db/a-b-pg-1.txt"),
        ContainerStarted(T + 1.6, DB, "dreamy_bell", IMAGE, is_reused=False),
        ContainerStarted(T + 1.7, WEB, "eager_poitras", IMAGE, is_reused=False),
        StepOutput(T + 1.8, WEB, b"fetching\n"),
        StepFinished(
            T + 2.4, WEB, 1, "failed", 1.0, exit_code=1, brief="web:nginx failed with exit code 1",
            last_lines=("fetching",), log="logs/web/a-b-nginx-1.txt", will_retry_in_s=0.5,
        ),
        StepOutput(T + 2.5, DB, b"password hunter2\nno space\n"),
        StepFinished(
            T + 2.6, DB, 1, "failed", 1.1, exit_code=7, image=IMAGE, name="d/a/s/db:pg.failed",
            brief="db:pg failed with exit code 7", details="password hunter2\nno space",
            last_lines=("password hunter2", "no space"), log="logs/db/a-b-pg-1.txt", commit_s=0.1,
        ),
        StepBlocked(T + 2.61, DUMP, "db:pg failed"),
        StepStarted(T + 2.9, WEB, 2, "logs/web/a-b-nginx-2.txt"),
        ContainerStarted(T + 3.0, WEB, "vibrant_hodgkin", IMAGE, is_reused=False),
        StepFinished(T + 4.0, WEB, 2, "done", 1.1, 0, IMAGE, "d/a/s/web:nginx", commit_s=0.08),
        StepStarted(T + 4.1, TUNE, 1, "logs/web/a-b-tune-1.txt"),
        ContainerStarted(T + 4.1, TUNE, "vibrant_hodgkin", IMAGE, is_reused=True),
        StepFinished(T + 4.6, TUNE, 1, "done", 0.5, 0, IMAGE, "d/a/s/web:tune", commit_s=0.08),
        RunFinished(T + 4.7, "r1", 1, 2, 1, (DB,), (DUMP,), 4.7),
    ]  # fmt: skip


def idle_story(count: int = 12) -> list[Event]:
    """Everything is there."""
    steps = [StepId(f"s:n{number}") for number in range(count)]
    return [
        run_started(),
        plan(*(PlannedStep(step, "REUSE", "its image is there") for step in steps), at=T + 0.05),
        *(StepReused(T + 0.09, step, IMAGE, "its image is there") for step in steps),
        RunFinished(T + 0.1, "r1", 0, 0, count, (), (), 0.1),
    ]
