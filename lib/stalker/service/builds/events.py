"""The events of a build, read while they are written.

An event's id is the offset behind it in the file: a reader that was cut off goes on from the last id that it has,
sees each event once, and one that comes late sees everything from the first line.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CONSOLE_LINES = 20
"""The last lines of output that the list of builds shows, as the original did."""


def read_events(path: Path, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the whole events from an offset on, each with the offset behind it; none without a file."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                event = _parsed(line)
                if event is not None:
                    yield offset, event
    except FileNotFoundError:
        return


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # a process that was killed in the middle of a line, and the next attempt behind it
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


@dataclass(slots=True)
class StepView:
    """A step of a build as its events tell. State: waiting, running, done, reused, failed, blocked, cancelled."""

    id: str
    verdict: str = ""
    reason: str = ""
    state: str = "waiting"
    started: float | None = None
    duration_s: float | None = None
    estimate_s: float | None = None
    image: str = ""
    name: str = ""
    error: str = ""
    parent: str = ""
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class ArtifactView:
    """An artifact of a build."""

    id: str
    state: str
    reason: str = ""
    path: str = ""
    error: str = ""


@dataclass(slots=True)
class Progress:
    """What the events of a build say so far; `offset` is that of the next event."""

    offset: int = 0
    phase: str = "initializing"
    steps: dict[str, StepView] = field(default_factory=dict)
    artifacts: dict[str, ArtifactView] = field(default_factory=dict)
    bases: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    run: str = ""
    error: str = ""
    container: str = ""
    console: deque[str] = field(default_factory=lambda: deque(maxlen=CONSOLE_LINES))

    def read_on(self, path: Path) -> Progress:
        """Take the events that came since."""
        for offset, event in read_events(path, self.offset):
            self.take(event)
            self.offset = offset
        return self

    def take(self, event: dict[str, Any]) -> None:
        """Take one event; an unknown one changes nothing."""
        handler = getattr(self, f"_{event['event']}", None)
        if handler is not None:
            handler(event)

    @property
    def last_image(self) -> str:
        """The image of the last step of the plan, empty when it is not there."""
        steps = list(self.steps.values())
        return steps[-1].image if steps and steps[-1].state in {"done", "reused"} else ""

    @property
    def remaining_s(self) -> float | None:
        """Estimated time of the steps that are left, one after the other; None where one has no estimate."""
        left = [step for step in self.steps.values() if step.state in {"waiting", "running"}]
        if not left or any(step.estimate_s is None for step in left):
            return None
        return sum(step.estimate_s or 0.0 for step in left)

    def _run_started(self, event: dict[str, Any]) -> None:
        self.run, self.error, self.phase = event["run"], "", "initializing"
        for step in self.steps.values():
            if step.state == "running":
                step.state = "waiting"

    def _planned(self, event: dict[str, Any]) -> None:
        self.phase = "building"
        self.steps = {
            one["step"]: StepView(
                id=one["step"],
                verdict=one["verdict"],
                reason=one["reason"],
                estimate_s=one["estimate_s"],
                image=one["image"] if one["verdict"] == "REUSE" else "",
                parent=one["parent"] or "",
                needs=tuple(one["needs"]),
                state="reused" if one["verdict"] == "REUSE" else "waiting",
            )
            for one in event["steps"]
        }
        self.bases = {one["stalk"]: one for one in event["bases"]}
        self.artifacts = {
            one["artifact"]: ArtifactView(
                one["artifact"], "kept" if one["verdict"] == "REUSE" else "waiting", one["reason"]
            )
            for one in event["artifacts"]
        }

    def _step(self, event: dict[str, Any]) -> StepView:
        return self.steps.setdefault(event["step"], StepView(event["step"]))

    def _step_started(self, event: dict[str, Any]) -> None:
        step = self._step(event)
        step.state, step.started = "running", event["at"]

    def _step_finished(self, event: dict[str, Any]) -> None:
        step = self._step(event)
        step.state, step.duration_s = event["state"], event["duration_s"]
        step.name = event["name"]
        step.image = event["image"] if event["state"] == "done" else ""
        step.error = event["brief"]

    def _step_reused(self, event: dict[str, Any]) -> None:
        step = self._step(event)
        step.state, step.image = "reused", event["image"]

    def _step_blocked(self, event: dict[str, Any]) -> None:
        step = self._step(event)
        step.state, step.error = "blocked", event["cause"]

    def _artifact_started(self, event: dict[str, Any]) -> None:
        self.artifacts[event["artifact"]] = ArtifactView(event["artifact"], "running", event["reason"])

    def _artifact_finished(self, event: dict[str, Any]) -> None:
        artifact = self.artifacts.setdefault(event["artifact"], ArtifactView(event["artifact"], ""))
        artifact.state, artifact.path, artifact.error = event["state"], event["path"], event["brief"]

    def _container_started(self, event: dict[str, Any]) -> None:
        self.container = event["container"][:10]

    def _step_output(self, event: dict[str, Any]) -> None:
        self.console.extend(line[:500] for line in event["data"].splitlines()[-CONSOLE_LINES:])

    def _note(self, event: dict[str, Any]) -> None:
        self.notes.append(event["text"])

    def _run_finished(self, event: dict[str, Any]) -> None:
        self.phase = "finished"
        parts = (event["brief"], event["details"], event["resolution"])
        self.error = "\n".join(part for part in parts if part)


def as_text(event: dict[str, Any]) -> str:
    """Return what an event adds to a build's log as text, empty where it adds nothing."""
    match event["event"]:
        case "step_output":
            return str(event["data"])
        case "run_started":
            return f"=== run {event['run']} of {event['tree']}\n"
        case "step_started":
            again = f", attempt {event['attempt']}" if event["attempt"] > 1 else ""
            return f"=== {event['step']}{again}\n"
        case "step_finished":
            said = f": {event['brief']}" if event["brief"] else ""
            return f"=== {event['step']} {event['state']} after {event['duration_s']:.1f} s{said}\n"
        case "step_reused":
            return f"=== {event['step']} reused: {event['reason']}\n"
        case "step_blocked":
            return f"=== {event['step']} blocked: {event['cause']}\n"
        case "artifact_finished":
            return f"=== artifact {event['artifact']} {event['state']} {event['path']}\n"
        case "base_started":
            return f"=== base of {event['stalk']}: {event['base']}\n"
        case "note":
            return f"=== {event['level']}: {event['text']}\n"
        case "run_finished":
            said = "".join(f"\n{part}" for part in (event["brief"], event["details"]) if part)
            return f"=== finished with exit code {event['exit_code']}{said}\n"
        case _:
            return ""
