"""How far a run is: the state of each stalk and step, from events. Pure; its owner holds a lock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.journal.views.wording import is_exit
from stalker.model import events as ev

if TYPE_CHECKING:
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import StepId

State = Literal[
    "waiting", "running", "pausing", "done", "reused", "failed", "timeout", "cancelled", "blocked"
]
BAD = frozenset({"failed", "timeout", "cancelled"})
OPEN = frozenset({"waiting", "running", "pausing"})
TAIL_BYTES = 2048
MANY = 1000
"""Up to so many steps the time left is counted again for each picture."""


@dataclass(slots=True)
class StepProgress:
    """One step; `tail` is the end of its output, as it came; `pausing` is between two attempts.

    `exit_code` is None where something else made it fail.
    """

    id: StepId
    name: str
    before: tuple[StepId, ...] = ()
    estimate_s: float | None = None
    state: State = "waiting"
    attempt: int = 1
    started_at: float = 0.0
    duration_s: float = 0.0
    exit_code: int | None = None
    tail: bytes = b""

    def left_s(self, now: float) -> float | None:
        """Return the time this step still needs, by earlier runs; None when it is not known."""
        if self.state not in OPEN:
            return 0.0
        if self.estimate_s is None:
            return None
        spent = now - self.started_at if self.state == "running" else 0.0
        return max(self.estimate_s - spent, 0.0)


@dataclass(slots=True)
class StalkProgress:
    """One stalk; `depth` counts the stalks below it; `base` is what is being provided for it."""

    name: str
    grows_on: str = ""
    depth: int = 0
    steps: list[StepProgress] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    base: str = ""
    base_started_at: float = 0.0
    base_text: str = ""

    @property
    def is_active(self) -> bool:
        """Return whether something of it goes on."""
        return bool(self.base or self.counts["running"] or self.counts["pausing"])

    @property
    def is_over(self) -> bool:
        """Return whether nothing of it is still to come."""
        return not self.base and not any(self.counts[state] for state in OPEN)

    @property
    def is_bad(self) -> bool:
        """Return whether a step of it went wrong."""
        return any(self.counts[state] for state in BAD)


@dataclass(slots=True)
class ArtifactView:
    """One artifact that is made or proven; `since_s` is when what is done now began."""

    id: ArtifactId
    started_at: float
    progress: ev.ArtifactProgress | None = None
    since_s: float = 0.0
    finished: ev.ArtifactFinished | None = None

    @property
    def stalk(self) -> str:
        """The stalk that it is of."""
        return self.id.partition("/")[0]


class Progress:
    """All stalks in the order of the plan."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.stalks: dict[str, StalkProgress] = {}
        self.steps: dict[StepId, StepProgress] = {}
        self.artifacts: dict[ArtifactId, ArtifactView] = {}
        self.counts: Counter[str] = Counter()
        self.started_at = 0.0
        self.config = ""
        self.failures: list[ev.StepFinished] = []
        self._most_at_once = 1
        self._left_at = float("-inf")
        self._left = (0.0, True)

    def on_event(self, event: ev.Event) -> None:
        """Take one event."""
        match event:
            case ev.StepOutput():
                step = self._step(event.step)
                step.tail = (step.tail + event.data[-TAIL_BYTES:])[-TAIL_BYTES:]
            case ev.RunStarted():
                self.started_at = event.at
                self.config = event.config
            case ev.Planned():
                for planned in event.steps:
                    self._plan(planned)
                self._order()
            case ev.BaseStarted():
                stalk = self._stalk(event.stalk)
                stalk.base, stalk.base_started_at = event.base, event.at
            case ev.BaseProgress():
                self._stalk(event.stalk).base_text = event.text
            case ev.BaseFinished():
                self._stalk(event.stalk).base = ""
            case ev.StepStarted():
                step = self._step(event.step)
                step.attempt, step.started_at, step.tail = event.attempt, event.at, b""
                self._set(step, "running")
                self._most_at_once = max(self._most_at_once, self.counts["running"])
            case ev.StepFinished():
                self._finish(event)
            case ev.StepReused():
                self._set(self._step(event.step), "reused")
            case ev.StepBlocked():
                self._set(self._step(event.step), "blocked")
            case ev.ArtifactStarted() | ev.ArtifactProgress() | ev.ArtifactFinished():
                self._take_artifact(event)

    def _take_artifact(self, event: ev.ArtifactStarted | ev.ArtifactProgress | ev.ArtifactFinished) -> None:
        view = self.artifacts.setdefault(event.artifact, ArtifactView(event.artifact, event.at))
        match event:
            case ev.ArtifactProgress():
                if view.progress is None or view.progress.doing != event.doing:
                    view.since_s = event.at
                view.progress = event
            case ev.ArtifactFinished():
                view.finished = event

    def left_s(self, now: float) -> tuple[float, bool]:
        """Return the seconds still needed, and whether that is all: else some steps are unknown.

        The longest path of what is left, or its sum over the most steps seen at once, if that is more.
        Takes about 2 µs a step, so for very many the answer may be a second old.
        """
        may_be_old_s = (len(self.steps) - MANY) * 1e-4
        if not 0 <= now - self._left_at < may_be_old_s:
            self._left_at, self._left = now, self._count_left(now)
        return self._left

    def _count_left(self, now: float) -> tuple[float, bool]:
        until: dict[StepId, float] = {}
        total = 0.0
        is_known = True
        for step in self.steps.values():
            left = step.left_s(now)
            if left is None:
                is_known, left = False, 0.0
            total += left
            until[step.id] = left + max((until.get(before, 0.0) for before in step.before), default=0.0)
        return max(max(until.values(), default=0.0), total / self._most_at_once), is_known

    def _finish(self, event: ev.StepFinished) -> None:
        step = self._step(event.step)
        step.duration_s, step.exit_code = event.duration_s, event.exit_code if is_exit(event) else None
        if event.will_retry_in_s is not None:
            self._set(step, "pausing")
            return
        self._set(step, event.state)
        if event.state in {"failed", "timeout"}:
            self.failures.append(event)

    def _plan(self, planned: ev.PlannedStep) -> None:
        step = self._step(planned.step)
        step.estimate_s = planned.estimate_s
        step.before = ((planned.parent,) if planned.parent else ()) + planned.needs
        stalk = self._stalk(_stalk_of(planned.step))
        if planned.parent and _stalk_of(planned.parent) != stalk.name:
            stalk.grows_on = _stalk_of(planned.parent)

    def _order(self) -> None:
        """Put each stalk below the one it grows on; neighbours keep the order of the plan."""
        below: dict[str, list[StalkProgress]] = {}
        for stalk in self.stalks.values():
            below.setdefault(stalk.grows_on if stalk.grows_on in self.stalks else "", []).append(stalk)
        ordered: dict[str, StalkProgress] = {}
        waiting = [(stalk, 0) for stalk in reversed(below.get("", []))]
        while waiting:
            stalk, stalk.depth = waiting.pop()
            ordered[stalk.name] = stalk
            waiting += [(child, stalk.depth + 1) for child in reversed(below.get(stalk.name, []))]
        self.stalks = ordered | self.stalks

    def _set(self, step: StepProgress, state: State) -> None:
        counts = self._stalk(_stalk_of(step.id)).counts
        for counter in (counts, self.counts):
            counter[step.state] -= 1
            counter[state] += 1
        step.state = state

    def _stalk(self, name: str) -> StalkProgress:
        return self.stalks.setdefault(name, StalkProgress(name))

    def _step(self, step_id: StepId) -> StepProgress:
        if step_id not in self.steps:
            step = StepProgress(step_id, step_id.partition(":")[2])
            stalk = self._stalk(_stalk_of(step_id))
            stalk.steps.append(step)
            for counter in (stalk.counts, self.counts):
                counter["waiting"] += 1
            self.steps[step_id] = step
        return self.steps[step_id]


def _stalk_of(step: StepId) -> str:
    return step.partition(":")[0]
