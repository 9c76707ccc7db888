"""How results are said in plain words, the same in every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.journal.terminal import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.events import Planned, RunFinished, StepFinished

MOST_NAMES = 5


def duration(seconds: float) -> str:
    """Return a time as people say it: `0.1 s`, `48 s`, `2 min 5 s`, `1 h 12 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def plan_line(event: Planned) -> str:
    """Say what a plan will do, empty when that is nothing."""
    running = [planned for planned in event.steps if planned.verdict == "RUN"]
    if not running:
        return ""
    reused = sum(planned.verdict == "REUSE" for planned in event.steps)
    blocked = len(event.steps) - len(running) - reused
    parts = [f"{count(len(running), 'step')} to run"]
    parts += [f"{reused} reused"] if reused else []
    parts += [f"{blocked} blocked"] if blocked else []
    return "plan: " + ", ".join(parts)


def result_words(event: StepFinished) -> str:
    """Say how an attempt of a step ended: `failed with exit code 7 after 3.2 s`."""
    took = duration(event.duration_s)
    if event.state == "done":
        return f"done in {took}"
    if event.state == "timeout":
        words = f"ran out of time after {took}"
    elif event.state == "cancelled":
        words = f"cancelled after {took}"
    else:
        words = _failed_words(event, took)
    if event.will_retry_in_s is not None:
        words += f", trying again in {duration(event.will_retry_in_s)}"
    return words


def _failed_words(event: StepFinished, took: str) -> str:
    """Say the exit code, or what else went wrong, without the step's name before it."""
    is_exit = bool(event.exit_code) and (not event.brief or "failed with exit code" in event.brief)
    if is_exit:
        return f"failed with exit code {event.exit_code} after {took}"
    brief = clean_line(event.brief).removeprefix(event.step).lstrip(": ")
    return f"failed after {took}: {brief}" if brief else f"failed after {took}"


def failure_lines(event: StepFinished, config: str) -> list[str]:
    """Say what is known of a failed step: its last lines, its log, and how to look inside.

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
        lines.append(f"  look inside: ./stalker shell {event.step}.failed --tree {config}")
    return lines


def summary_lines(event: RunFinished) -> list[str]:
    """Say how a run ended. What went wrong besides steps, which were told of, is said with its details."""
    took = duration(event.duration_s)
    if event.exit_code == 0 and event.ran == 0:
        if event.reused == 1:
            return [f"nothing to do: 1 step is there ({took})"]
        return [f"nothing to do: {event.reused} steps are there ({took})"]
    parts = [f"{count(event.ran, 'step')} ran"]
    parts += [f"{event.reused} reused"] if event.reused else []
    parts += [f"{len(event.failed)} failed ({some(event.failed)})"] if event.failed else []
    parts += [f"{len(event.blocked)} blocked"] if event.blocked else []
    word = {0: "done", 130: "interrupted"}.get(event.exit_code, "failed")
    lines = []
    is_of_step = (event.exit_code == 1 and event.failed) or event.brief.startswith(tuple(event.failed))
    if event.brief and not (is_of_step or event.exit_code == 130):
        lines.append(f"error: {clean_line(event.brief)}")
        lines += [f"  {clean_line(line)}" for line in event.details.splitlines()]
        lines += [f"  {clean_line(line)}" for line in event.resolution.splitlines()]
    return [*lines, f"{word}: {', '.join(parts)} in {took}"]
