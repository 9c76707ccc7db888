"""How results are said in plain words, the same in every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.io.units import duration_text, size_text
from stalker.journal.views.stream import clean_line
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.events import ArtifactFinished, ArtifactProgress, Planned, RunFinished, StepFinished

MOST_NAMES = 5


def count(number: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def plan_line(event: Planned) -> str:
    """Return what a plan will do, empty when that is nothing."""
    running = [planned for planned in event.steps if planned.verdict == "RUN"]
    making = sum(planned.verdict == "MAKE" for planned in event.artifacts)
    proving = sum(planned.verdict == "PROVE" for planned in event.artifacts)
    if not (running or making or proving):
        return ""
    reused = sum(planned.verdict == "REUSE" for planned in event.steps)
    blocked = len(event.steps) - len(running) - reused
    parts = [f"{count(len(running), 'step')} to run"] if running else []
    parts += [f"{reused} reused" if running else f"{count(reused, 'step')} reused"] if reused else []
    parts += [f"{blocked} blocked"] if blocked else []
    parts += [f"{count(making, 'artifact')} to make"] if making else []
    parts += [f"{count(proving, 'artifact')} to prove"] if proving else []
    return "plan: " + ", ".join(parts)


def result_words(event: StepFinished) -> str:
    """Return how an attempt of a step ended: `failed with exit code 7 after 3.2 s`."""
    took = duration_text(event.duration_s)
    if event.state == "done":
        return f"done in {took}"
    if event.state == "timeout":
        words = f"ran out of time after {took}"
    elif event.state == "cancelled":
        words = f"cancelled after {took}"
    else:
        words = _failed_words(event, took)
    if event.will_retry_in_s is not None:
        words += f", trying again in {duration_text(event.will_retry_in_s)}"
    return words


def is_exit(event: StepFinished) -> bool:
    """Return whether a step failed by the exit code of its script, and not by what the script did."""
    return bool(event.exit_code) and (not event.brief or "failed with exit code" in event.brief)


def _failed_words(event: StepFinished, took: str) -> str:
    """Say the exit code, or what else went wrong, without the step's name before it."""
    if is_exit(event):
        return f"failed with exit code {event.exit_code} after {took}"
    brief = clean_line(event.brief).removeprefix(event.step).lstrip(": ")
    return f"failed after {took}: {brief}" if brief else f"failed after {took}"


def failure_lines(event: StepFinished, config: str) -> list[str]:
    """Return what is known of a failed step: its last lines, its log, and how to look inside.

    `config` is the tree file as the user named it.
    """
    details = tuple(event.details.splitlines())
    lines = [f"  | {clean_line(line)}" for line in (event.last_lines or details)[-20:]]
    if event.last_lines and details != event.last_lines:
        lines += [f"  {clean_line(line)}" for line in details]
    if event.log:
        lines.append(f"  log: {event.log}")
    if event.resolution:
        lines += [f"  {clean_line(line)}" for line in event.resolution.splitlines()]
    elif event.image:
        lines.append(f"  look inside: {program()} shell {event.step}.failed --tree {config}")
    return lines


def nothing_words(steps: int, artifacts: int) -> str:
    """Say that all is there: `nothing to do: 3 steps and 1 artifact are there`."""
    named = count(steps, "step") + (f" and {count(artifacts, 'artifact')}" if artifacts else "")
    return f"nothing to do: {named} {'is' if steps == 1 and not artifacts else 'are'} there"


def artifact_words(event: ArtifactFinished) -> str:
    """Return what became of an artifact: `published in 12 s: artifacts/t/s/root, 48 MB`."""
    took = duration_text(event.duration_s)
    brief = clean_line(event.brief)
    match event.state:
        case "done":
            return f"published in {took}: {clean_line(event.path)}, {size_text(event.size_bytes)}"
        case "unproven":
            return f"refused after {took}: {brief}"
        case "cancelled":
            return f"cancelled after {took}"
        case "blocked":
            return f"blocked: {brief}"
    return f"failed after {took}: {brief}" if brief else f"failed after {took}"


def artifact_lines(event: ArtifactFinished) -> list[str]:
    """Return why an artifact was not published, where it stands, and what to do."""
    lines = [f"  | {clean_line(line)}" for line in event.last_lines[-20:]]
    lines += [f"  {clean_line(line)}" for line in event.details.splitlines()]
    lines += [f"  {clean_line(line)}" for line in event.resolution.splitlines()]
    if event.log:
        lines.append(f"  console: {clean_line(event.log)}")
    path = clean_line(event.path)
    if event.state == "unproven" and path.endswith(".unproven"):
        lines.append(f"  not published; it is kept in {path}")
    elif event.state == "unproven":
        lines.append(f"  {path} was published before, and stays")
    return lines


def progress_words(event: ArtifactProgress, since_s: float) -> str:
    """Return how far an artifact is: what is done, how much of it, how fast, how long it still takes.

    `since_s` is when this doing began.
    """
    words = clean_line(event.doing)
    if not event.done_bytes:
        return words
    rate = event.done_bytes / max(event.at - since_s, 1e-6)
    total = event.total_bytes
    if total and event.done_bytes <= total:
        words += f"  {size_text(event.done_bytes)} of {size_text(total)}, {size_text(int(rate))}/s"
        return f"{words}, about {duration_text((total - event.done_bytes) / rate)} left"
    return f"{words}  {size_text(event.done_bytes)}, {size_text(int(rate))}/s"


def summary_lines(event: RunFinished) -> list[str]:
    """Return how a run ended. Problems apart from steps, which were reported, are given with their details."""
    took = duration_text(event.duration_s)
    if event.exit_code == 0 and event.ran == 0 and event.made == 0:
        return [f"{nothing_words(event.reused, event.kept)} ({took})"]
    parts = [f"{count(event.ran, 'step')} ran"]
    parts += [f"{event.reused} reused"] if event.reused else []
    parts += [f"{len(event.failed)} failed ({some(event.failed)})"] if event.failed else []
    parts += [f"{len(event.blocked)} blocked"] if event.blocked else []
    parts += [f"{count(event.made, 'artifact')} published"] if event.made else []
    parts += [f"{count(len(event.unmade), 'artifact')} not ({some(event.unmade)})"] if event.unmade else []
    word = {0: "done", 130: "interrupted"}.get(event.exit_code, "failed")
    lines = []
    is_of_step = (event.exit_code == 1 and event.failed) or event.brief.startswith(tuple(event.failed))
    if event.brief and not (is_of_step or event.exit_code == 130):
        lines.append(f"error: {clean_line(event.brief)}")
        lines += [f"  {clean_line(line)}" for line in event.details.splitlines()]
        lines += [f"  {clean_line(line)}" for line in event.resolution.splitlines()]
    return [*lines, f"{word}: {', '.join(parts)} in {took}"]
