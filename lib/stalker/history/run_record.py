"""What a journal says of its run, also one that was killed or is still being written.

Unknown messages and fields are passed over, so journals of older and newer versions can be read; what they do not
have is None or empty.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stalker.errors import PlanError
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Message = dict[str, Any]


@dataclass(slots=True)
class Span:
    """Something that began and ended, in Unix time; `ended_s` is None where no end was written."""

    began_s: float
    ended_s: float | None = None

    @property
    def took_s(self) -> float | None:
        """How long it took."""
        return None if self.ended_s is None else max(0.0, self.ended_s - self.began_s)


@dataclass(slots=True)
class Attempt(Span):
    """One attempt of a step. `state` is empty where no end was written; `commit_s` is part of the span."""

    number: int = 1
    log: str = ""
    is_service: bool = False
    state: str = ""
    exit_code: int | None = None
    script_s: float | None = None
    commit_s: float | None = None
    added_bytes: int | None = None
    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_at_most: bool = False
    image: str = ""
    brief: str = ""
    details: str = ""
    resolution: str = ""
    last_lines: tuple[str, ...] = ()


@dataclass(slots=True)
class StepRecord:
    """A step of the plan and what became of it; `image` is the one that it has now."""

    step: str
    verdict: str = ""
    reason: str = ""
    parent: str = ""
    needs: tuple[str, ...] = ()
    estimate_s: float | None = None
    fingerprint: str = ""
    planned_image: str = ""
    blocked_by: str = ""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def image(self) -> str:
        """The image that the step has after the run, empty where it has none."""
        done = next((one for one in reversed(self.attempts) if one.state == "done" and one.image), None)
        return done.image if done is not None else self.planned_image

    @property
    def state(self) -> str:
        """What became of it: done, failed, timeout, cancelled, running, reused, blocked, or waiting."""
        own = [one for one in self.attempts if not one.is_service]
        if own:
            return own[-1].state or "running"
        if self.blocked_by or self.verdict == "BLOCKED":
            return "blocked"
        return "reused" if self.verdict == "REUSE" else "waiting"


@dataclass(slots=True)
class BaseRecord(Span):
    """A first image that was provided."""

    stalk: str = ""
    base: str = ""
    image: str = ""
    error: str = ""


@dataclass(slots=True)
class ArtifactRecord(Span):
    """An artifact that was made or proven; `phases` are what was done and the seconds that each took."""

    artifact: str = ""
    verdict: str = ""
    reason: str = ""
    state: str = ""
    path: str = ""
    size_bytes: int = 0
    phases: tuple[tuple[str, float], ...] = ()
    brief: str = ""
    details: str = ""
    resolution: str = ""
    log: str = ""
    last_lines: tuple[str, ...] = ()


@dataclass(slots=True)
class RunRecord(Span):
    """A run. `exit_code` is None where no end was written."""

    run: str = ""
    tree: str = ""
    config: str = ""
    command: str = ""
    version: str = ""
    exit_code: int | None = None
    brief: str = ""
    details: str = ""
    resolution: str = ""
    steps: dict[str, StepRecord] = field(default_factory=dict)
    bases: list[BaseRecord] = field(default_factory=list)
    artifacts: dict[str, ArtifactRecord] = field(default_factory=dict)
    kept_artifacts: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[float, str, str]] = field(default_factory=list)
    last_s: float = 0.0


def read_record(journal: Path) -> RunRecord:
    """Read the journal of one run. Raises PlanError when it is not one."""
    try:
        lines = journal.read_bytes().splitlines()
    except OSError as error:
        raise PlanError(
            f"{journal} cannot be read: {error.strerror}", "", f"`{program()} log` lists the runs"
        ) from error
    messages = _messages(lines)
    first = next(messages, None)
    if first is None or first.get("action_type") != "run":
        raise PlanError(f"{journal} is not the journal of a run")
    reading = _Reading(first)
    for message in messages:
        reading.take(message)
    return reading.record


def _messages(lines: list[bytes]) -> Iterator[Message]:
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if isinstance(message, dict) and isinstance(message.get("timestamp"), int | float):
            yield message


class _Reading:
    """The record so far, and which action each message belongs to, by its level in the task."""

    def __init__(self, first: Message) -> None:
        self.record = RunRecord(first["timestamp"])
        _fill(self.record, first, ("run", "tree", "config", "command", "version"))
        self._open: dict[tuple[int, ...], Attempt | BaseRecord | ArtifactRecord] = {}
        self._commits: dict[tuple[int, ...], float] = {}

    def take(self, message: Message) -> None:
        self.record.last_s = message["timestamp"]
        levels = message.get("task_level")
        level = tuple(levels[:-1]) if isinstance(levels, list) else ()
        kind, status = _text(message, "action_type"), _text(message, "action_status")
        if status == "started":
            self._begin(level, kind, message)
        elif status:
            self._end(level, kind, message)
        else:
            self._message(_text(message, "message_type"), message)

    def _begin(self, level: tuple[int, ...], kind: str, message: Message) -> None:
        at = message["timestamp"]
        if kind.startswith("attempt "):
            number = int(kind[8:]) if kind[8:].isdecimal() else 1
            attempt = Attempt(
                at, number=number, log=_text(message, "log"), is_service=bool(message.get("service"))
            )
            self._step(_text(message, "of")).attempts.append(attempt)
            self._open[level] = attempt
        elif kind == "commit":
            self._commits[level] = at
        elif kind == "base":
            base = BaseRecord(at, stalk=_text(message, "stalk"), base=_text(message, "base"))
            self.record.bases.append(base)
            self._open[level] = base
        elif kind == "artifact":
            name = _text(message, "artifact")
            known = self.record.artifacts.get(name) or ArtifactRecord(at, artifact=name)
            known.began_s, known.verdict = at, _text(message, "verdict") or known.verdict
            known.reason = _text(message, "reason") or known.reason
            self._open[level] = self.record.artifacts[name] = known

    def _end(self, level: tuple[int, ...], kind: str, message: Message) -> None:
        at = message["timestamp"]
        if kind == "run":
            self.record.ended_s = at
            code = message.get("exit_code")
            self.record.exit_code = code if isinstance(code, int) else 1
            _fill(self.record, message, ("brief", "details", "resolution"))
            return
        if kind == "commit":
            attempt = self._open.get(level[:-1])
            if isinstance(attempt, Attempt):
                attempt.image = _text(message, "image")
                attempt.commit_s = at - self._commits.get(level, at)
            return
        found = self._open.pop(level, None)
        if found is None:
            return
        found.ended_s = at
        if isinstance(found, Attempt):
            _fill(found, message, ("state", "brief", "details", "resolution", "log"))
            for name in ("exit_code", "script_s", "added_bytes", "cpu_s", "memory_bytes"):
                value = message.get(name)
                if isinstance(value, int | float):
                    setattr(found, name, value)
            found.memory_at_most = bool(message.get("memory_at_most"))
            found.state = found.state or "cancelled"
            found.last_lines = _texts(message, "last_lines")
        elif isinstance(found, BaseRecord):
            _fill(found, message, ("image", "base"))
            found.error = _text(message, "brief") or _text(message, "reason")
        else:
            _fill(found, message, ("state", "path", "brief", "details", "resolution", "log"))
            found.state = found.state or "cancelled"
            size = message.get("size_bytes")
            found.size_bytes = size if isinstance(size, int) else 0
            found.last_lines = _texts(message, "last_lines")
            phases = message.get("phases")
            found.phases = tuple((str(doing), float(took)) for doing, took in phases) if phases else ()

    def _message(self, kind: str, message: Message) -> None:
        if kind == "plan":
            self._plan(message)
        elif kind == "reused":
            for step, reason in _mapping(message, "steps").items():
                known = self._step(step)
                known.verdict, known.reason = known.verdict or "REUSE", known.reason or str(reason)
        elif kind == "blocked":
            self._step(_text(message, "step")).blocked_by = _text(message, "cause")
        elif kind in {"info", "warning"}:
            self.record.notes.append((message["timestamp"], kind, _text(message, "msg")))

    def _plan(self, message: Message) -> None:
        graph = _mapping(message, "graph")
        for step, said in _mapping(message, "steps").items():
            known = self._step(step)
            known.verdict, _, known.reason = str(said).partition(": ")
            place = graph.get(step)
            if not isinstance(place, dict):
                continue
            known.parent = _text(place, "parent")
            known.needs = _texts(place, "needs")
            estimate = place.get("estimate_s")
            known.estimate_s = estimate if isinstance(estimate, int | float) else None
            known.fingerprint = _text(place, "fingerprint")
            known.planned_image = _text(place, "image")
        for name, said in _mapping(message, "artifacts").items():
            verdict, _, reason = str(said).partition(": ")
            if verdict == "REUSE":
                self.record.kept_artifacts[name] = reason
            else:
                self.record.artifacts[name] = ArtifactRecord(
                    message["timestamp"], artifact=name, verdict=verdict, reason=reason
                )

    def _step(self, step: str) -> StepRecord:
        return self.record.steps.setdefault(step, StepRecord(step))


def _fill(record: object, message: Message, names: tuple[str, ...]) -> None:
    for name in names:
        value = _text(message, name)
        if value:
            setattr(record, name, value)


def _text(message: Message, name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""


def _texts(message: Message, name: str) -> tuple[str, ...]:
    value = message.get(name)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _mapping(message: Message, name: str) -> dict[str, Any]:
    value = message.get(name)
    return value if isinstance(value, dict) else {}
