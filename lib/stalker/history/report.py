"""A run as a report: data for programs, and one HTML file without any address in it.

Everything comes from the journal; scripts and the ends of logs are shown as far as their files exist. A page of
3,000 steps stays below 2 MB: what is long is shown for what failed, then for what took longest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.io.units import duration_text, size_text
from stalker.model.escaping import shown_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stalker.history.run_record import Attempt, RunRecord, StepRecord

DETAILS_MAX = 250
"""Steps whose script and log are in the page."""

SCRIPT_MAX, LOG_LINES_MAX, LINE_MAX = 2000, 12, 200
WIDTH, LANE = 1000, 18
"""Of the timeline, in units of its picture."""

ENDED_BADLY = {"failed", "timeout", "cancelled", "running"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where texts come from that are not in the journal; each returns nothing for what it does not have."""

    script: Callable[[StepRecord], str]
    log_end: Callable[[str], Sequence[str]]


def document_of(record: RunRecord, sources: Sources) -> dict[str, Any]:
    """Return a run as data; the keys are a contract with programs."""
    path = critical_path(record)
    shown_ones = _worth_details(record)
    steps = [
        _step(one, one.step in path, sources if one.step in shown_ones else None)
        for one in record.steps.values()
    ]
    end_s = record.ended_s or record.last_s
    planned = [
        one.estimate_s for one in record.steps.values() if one.verdict == "RUN" and one.estimate_s is not None
    ]
    worked_s = sum(_script_s(one) for one in record.steps.values() if one.estimate_s is not None)
    return {
        "run": record.run,
        "tree": record.tree,
        "config": record.config,
        "command": record.command,
        "version": record.version,
        "began_s": record.began_s,
        "took_s": round(end_s - record.began_s, 3),
        "state": _state(record),
        "exit_code": record.exit_code,
        "brief": record.brief,
        "details": record.details,
        "resolution": record.resolution,
        "counts": _counts(record),
        "estimated_s": round(sum(planned), 3) if planned else None,
        "estimated_scripts_took_s": round(worked_s, 3) if planned else None,
        "critical_path": path,
        "steps": steps,
        "bases": [
            {
                "stalk": one.stalk,
                "base": one.base,
                "took_s": _rounded(one.took_s),
                "image": one.image,
                "error": one.error,
            }
            for one in record.bases
        ],
        "artifacts": [
            {
                "artifact": one.artifact,
                "verdict": one.verdict,
                "reason": one.reason,
                "state": one.state or "waiting",
                "took_s": _rounded(one.took_s),
                "path": one.path,
                "size_bytes": one.size_bytes,
                "phases": [list(phase) for phase in one.phases],
                "brief": one.brief,
                "details": one.details,
                "resolution": one.resolution,
                "last_lines": list(one.last_lines),
            }
            for one in record.artifacts.values()
        ],
        "kept_artifacts": record.kept_artifacts,
        "notes": [{"at": at, "level": level, "text": text} for at, level, text in record.notes],
        "spans": _spans(record, set(path), end_s),
    }


def _state(record: RunRecord) -> str:
    if record.exit_code is None:
        return "no end"
    return "done" if record.exit_code == 0 else "interrupted" if record.exit_code == 130 else "failed"


def _counts(record: RunRecord) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in record.steps.values():
        counts[one.state] = counts.get(one.state, 0) + 1
    return counts


def _script_s(step: StepRecord) -> float:
    return sum(one.script_s or 0.0 for one in step.attempts if one.state == "done")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _step(one: StepRecord, is_critical: bool, sources: Sources | None) -> dict[str, Any]:  # noqa: FBT001
    last = one.attempts[-1] if one.attempts else None
    found: dict[str, Any] = {
        "step": one.step,
        "state": one.state,
        "verdict": one.verdict,
        "reason": one.reason,
        "parent": one.parent,
        "needs": list(one.needs),
        "image": one.image,
        "fingerprint": one.fingerprint,
        "estimate_s": one.estimate_s,
        "blocked_by": one.blocked_by,
        "is_critical": is_critical,
        "attempts": [_attempt(attempt) for attempt in one.attempts],
    }
    if sources is not None and last is not None:
        found["script"] = sources.script(one)[:SCRIPT_MAX]
        found["log_end"] = list(last.last_lines) or [
            line[:LINE_MAX] for line in sources.log_end(last.log)[-LOG_LINES_MAX:]
        ]
    return found


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "number": one.number,
        "state": one.state or "running",
        "began_s": one.began_s,
        "took_s": _rounded(one.took_s),
        "script_s": one.script_s,
        "commit_s": _rounded(one.commit_s),
        "exit_code": one.exit_code,
        "added_bytes": one.added_bytes,
        "cpu_s": one.cpu_s,
        "memory_bytes": one.memory_bytes,
        "memory_at_most": one.memory_at_most,
        "log": one.log,
        "brief": one.brief,
        "details": one.details,
        "resolution": one.resolution,
        "is_service": one.is_service,
    }


def _worth_details(record: RunRecord) -> set[str]:
    """Return the steps whose script and log are shown: those that failed, then those that took longest."""
    ran = [one for one in record.steps.values() if one.attempts]
    ran.sort(key=lambda one: (one.state not in ENDED_BADLY, -(one.attempts[-1].took_s or 0.0)))
    return {one.step for one in ran[:DETAILS_MAX]}


def critical_path(record: RunRecord) -> list[str]:
    """Return the steps that decided how long the run took, in order: each began when the one before ended.

    From the step that ended last back by way of that input which ended last.
    """
    ends = {
        name: one.attempts[-1].ended_s
        for name, one in record.steps.items()
        if one.attempts and one.attempts[-1].ended_s
    }
    if not ends:
        return []
    current = max(ends, key=lambda name: ends[name] or 0.0)
    path = [current]
    while True:
        step = record.steps[current]
        inputs = [name for name in (step.parent, *step.needs) if name in ends and name not in path]
        if not inputs:
            return path[::-1]
        current = max(inputs, key=lambda name: ends[name] or 0.0)
        path.append(current)


def _spans(record: RunRecord, critical: set[str], end_s: float) -> list[dict[str, Any]]:
    """Return what took time, each in a lane of its own among those that overlap, on a scale of `WIDTH`."""
    found: list[tuple[float, float, str, str, bool]] = [
        (one.began_s, one.ended_s or end_s, f"base of {one.stalk}", "base", False) for one in record.bases
    ]
    for step in record.steps.values():
        found += [
            (one.began_s, one.ended_s or end_s, step.step, one.state or "running", step.step in critical)
            for one in step.attempts
        ]
    found += [
        (one.began_s, one.ended_s or end_s, one.artifact, f"artifact {one.state}", False)
        for one in record.artifacts.values()
        if one.state or one.ended_s is None
    ]
    scale = WIDTH / max(end_s - record.began_s, 0.001)
    free: list[float] = []
    spans = []
    for began_s, ended_s, name, state, is_critical in sorted(found):
        lane = next((number for number, until in enumerate(free) if until <= began_s + 0.001), len(free))
        free[lane : lane + 1] = [ended_s]
        spans.append(
            {
                "name": name,
                "state": state,
                "lane": lane,
                "x": round((began_s - record.began_s) * scale, 1),
                "width": max(round((ended_s - began_s) * scale, 1), 0.6),
                "took_s": round(ended_s - began_s, 2),
                "is_critical": is_critical,
            }
        )
    return spans


# The page


def page_of(document: dict[str, Any]) -> str:
    """Return a report as HTML that loads nothing: no script, no font, no picture from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # late: 30 ms

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"took": _took, "size": size_text, "clean": shown_lines, "when": _when}
    template = environment.get_template("report.html.j2")
    return template.render(
        **document,
        stalks=_stalks(document["steps"]),
        lanes=max((one["lane"] for one in document["spans"]), default=-1) + 1,
        lane_height=LANE,
        width=WIDTH,
        bad=[one for one in document["steps"] if one["state"] in ENDED_BADLY],
        ended_badly=ENDED_BADLY,
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _took(seconds: float | None) -> str:
    return duration_text(seconds) if seconds is not None else ""


def _stalks(steps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the stalks with their steps and the steps of others that they grow on or need."""
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        name = step["step"].partition(":")[0]
        stalk = found.setdefault(name, {"name": name, "steps": [], "inputs": []})
        stalk["steps"].append(step)
        for other in (step["parent"], *step["needs"]):
            if other and other.partition(":")[0] != name and other not in stalk["inputs"]:
                stalk["inputs"].append(other)
    return list(found.values())
