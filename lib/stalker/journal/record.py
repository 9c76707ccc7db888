"""Events as a tree of actions: one causal eliot task a run.

    run
    ├── reading             files and variables
    ├── planning            verdict and reason of each step
    ├── base                one for each first image that is provided
    ├── artifact            one for each artifact that is made or proven
    └── stalk NAME
        ├── reused          the steps whose images are there
        └── step NAME
            └── attempt N   its log
                ├── container
                └── commit

Branches that run at the same time keep their places, because each action is started below its parent
by name and not below whatever the thread did last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stalker.errors import InputError, Interrupted, NoEngine, PlanError, StalkerError, StepFailed
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.journal.actions import Action, Trail
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import StepId

_BY_EXIT_CODE: dict[int, type[StalkerError]] = {2: PlanError, 3: NoEngine, 4: InputError, 130: Interrupted}


@dataclass
class _OpenStalk:
    """A stalk's action, its planned steps still to come, what to say of those reused, what went wrong."""

    action: Action
    waiting: set[StepId]
    is_planned: bool
    reused: dict[StepId, str] = field(default_factory=dict)
    error: str = ""


@dataclass
class _OpenStep:
    """A step's action and its open attempts by number: one, unless threads reported late."""

    action: Action
    attempts: dict[int, Action] = field(default_factory=dict)


@dataclass
class _Phases:
    """What was done of an artifact, one after the other: (what, since when)."""

    begun: list[tuple[str, float]] = field(default_factory=list)

    def take(self, event: ev.ArtifactProgress) -> None:
        """Take what is done now."""
        if not self.begun or self.begun[-1][0] != event.doing:
            self.begun.append((event.doing, event.at))

    def until(self, end: float) -> list[list[Any]]:
        """Return what was done and how many seconds each took."""
        ends = [*(at for _, at in self.begun[1:]), end]
        return [[doing, round(until - at, 3)] for (doing, at), until in zip(self.begun, ends, strict=True)]


class Record:
    """The actions of one run that are open, and where each event belongs among them."""

    def __init__(self, trail: Trail, run: str, early: Sequence[ev.Event], at: float) -> None:
        """Begin the run at `at` with what is known of it: the first events, not yet written."""
        self._trail = trail
        started = next((event for event in early if isinstance(event, ev.RunStarted)), None)
        self._root = trail.start(None, "run", at, run=run, **(_run_fields(started) if started else {}))
        self._settled_at = at
        """When the files, later the bases, were read or there: planning goes on from then."""
        self._last_at = at
        self._planned: dict[str, set[StepId]] = {}
        self._variables: dict[StepId, dict[str, str]] = {}
        self._bases: dict[str, Action] = {}
        self._artifacts: dict[ArtifactId, Action] = {}
        self._phases: dict[ArtifactId, _Phases] = {}
        self._stalks: dict[str, _OpenStalk] = {}
        self._steps: dict[StepId, _OpenStep] = {}
        self._write_reading(early, at)
        for event in early:
            if not isinstance(event, ev.RunStarted | ev.FileRead | ev.VariablesSet):
                self.write(event)

    def write(self, event: ev.Event) -> None:
        """Write one event at its place."""
        self._last_at = event.at
        if not isinstance(event, ev.StepReused):
            self._write_reused()
        match event:
            case ev.Note():
                self._trail.log(self._root, event.level, event.at, msg=event.text)
            case ev.FileRead():
                self._trail.log(self._root, "file", event.at, file=event.file, digest=event.digest)
            case ev.VariablesSet() if event.variables:
                self._variables[event.step] = _values(event)
            case ev.Planned():
                self._write_plan(event)
            case ev.BaseStarted() if event.stalk not in self._bases:
                self._bases[event.stalk] = self._start_base(event, event.at)
            case ev.BaseFinished():
                self._write_base(event)
            case ev.StepStarted():
                self._write_attempt(event)
            case ev.ContainerStarted():
                self._write_container(event)
            case ev.StepFinished():
                self._write_result(event)
            case ev.StepReused():
                self._stalk(event.step, event.at).reused[event.step] = event.reason
                self._leave(event.step, event.at)
            case ev.StepBlocked():
                stalk = self._stalk(event.step, event.at)
                self._trail.log(stalk.action, "blocked", event.at, step=event.step, cause=event.cause)
                stalk.error = stalk.error or f"{event.step} is blocked: {event.cause}"
                self._leave(event.step, event.at)
            case ev.ArtifactStarted():
                self._artifacts[event.artifact] = self._start_artifact(
                    event.artifact, event.at, verdict=event.verdict, reason=event.reason
                )
            case ev.ArtifactProgress():
                self._phases.setdefault(event.artifact, _Phases()).take(event)
            case ev.ArtifactFinished():
                self._write_artifact(event)
            case ev.RunFinished():
                self._end(event)

    def break_off(self, at: float, error: BaseException) -> None:
        """End all that is open, from the inside out, and the run itself."""
        self._finish_all(at, error)
        default = Interrupted.exit_code if isinstance(error, KeyboardInterrupt) else 1
        exit_code = getattr(error, "exit_code", default)
        self._trail.finish(self._root, at, error, exit_code=exit_code, **_parts(error))

    # before the steps

    def _write_reading(self, early: Sequence[ev.Event], begin: float) -> None:
        """Write reading as one action with two messages, however many files and steps there are."""
        files = {event.file: event.digest for event in early if isinstance(event, ev.FileRead)}
        told = [event for event in early if isinstance(event, ev.VariablesSet) and event.variables]
        self._variables = {event.step: _values(event) for event in told}
        times = [event.at for event in early if isinstance(event, ev.FileRead)]
        self._settled_at = max(times, default=begin)
        is_planned = any(isinstance(event, ev.Planned) for event in early)
        end = early[-1] if early else None
        error = None
        if not is_planned and isinstance(end, ev.RunFinished) and end.exit_code == PlanError.exit_code:
            error = _run_error(end)
        if files or self._variables or error:
            action = self._trail.start(self._root, "reading", begin)
            if files:
                self._trail.log(action, "files", self._settled_at, files=files)
            self._write_variables(action, self._settled_at)
            self._trail.finish(action, self._settled_at, error, **_parts(error))

    def _write_plan(self, event: ev.Planned) -> None:
        action = self._trail.start(self._root, "planning", min(self._settled_at, event.at))
        self._write_variables(action, event.at)
        steps = {planned.step: f"{planned.verdict}: {planned.reason}" for planned in event.steps}
        counts: dict[str, int] = {}
        for planned in event.steps:
            counts[planned.verdict] = counts.get(planned.verdict, 0) + 1
            self._planned.setdefault(_stalk_of(planned.step), set()).add(planned.step)
        bases = {base.stalk: f"{base.verdict}: {base.reason}" for base in event.bases}
        artifacts = {one.artifact: f"{one.verdict}: {one.reason}" for one in event.artifacts}
        more: dict[str, Any] = {"bases": bases} if bases else {}
        more |= {"artifacts": artifacts} if artifacts else {}
        graph = {planned.step: _place_in_graph(planned) for planned in event.steps}
        self._trail.log(action, "plan", event.at, **more, steps=steps, graph=graph)
        self._trail.finish(action, event.at, counts=counts)

    def _write_variables(self, action: Action, at: float) -> None:
        """Write what is known of variables by now, as one message."""
        if self._variables:
            self._trail.log(action, "variables", at, variables=self._variables)
            self._variables = {}

    def _start_base(self, event: ev.BaseStarted | ev.BaseFinished, at: float) -> Action:
        return self._trail.start(self._root, "base", at, stalk=event.stalk, base=event.base)

    def _write_base(self, event: ev.BaseFinished) -> None:
        action = self._bases.pop(event.stalk, None) or self._start_base(event, event.at - event.duration_s)
        error = InputError(event.error) if event.error else None
        self._settled_at = event.at
        self._trail.finish(action, event.at, error, base=event.base, image=event.image, **_parts(error))

    # artifacts

    def _start_artifact(self, artifact: ArtifactId, at: float, **fields: Any) -> Action:
        return self._trail.start(self._root, "artifact", at, artifact=artifact, **fields)

    def _write_artifact(self, event: ev.ArtifactFinished) -> None:
        action = self._artifacts.pop(event.artifact, None)
        if action is None:
            action = self._start_artifact(event.artifact, event.at - event.duration_s)
        known: dict[str, Any] = {"state": event.state, "path": event.path, "size_bytes": event.size_bytes}
        if event.artifact in self._phases:
            known["phases"] = self._phases.pop(event.artifact).until(event.at)
        if event.state == "done":
            self._trail.finish(action, event.at, **known)
            return
        kind = Interrupted if event.state == "cancelled" else StalkerError
        error = kind(event.brief or f"{event.artifact} {event.state}", event.details, event.resolution)
        if event.log:
            known |= {"last_lines": event.last_lines, "log": event.log}
        self._trail.finish(action, event.at, error, **known, **_parts(error))

    # steps

    def _write_attempt(self, event: ev.StepStarted) -> None:
        step = self._steps.get(event.step)
        if step is None:
            stalk, name = event.step.split(":", 1)
            below = self._stalk(event.step, event.at).action
            step = _OpenStep(self._trail.start(below, f"step {name}", event.at, stalk=stalk, step=name))
            self._steps[event.step] = step
        fields: dict[str, Any] = {"log": event.log, "of": event.step} | (
            {"service": True} if event.service else {}
        )
        step.attempts[event.attempt] = self._trail.start(
            step.action, f"attempt {event.attempt}", event.at, **fields
        )

    def _write_container(self, event: ev.ContainerStarted) -> None:
        step = self._steps.get(event.step)
        action = self._root if step is None else next(reversed(step.attempts.values()), step.action)
        fields = {"container": event.container, "image": event.image, "is_reused": event.is_reused}
        self._trail.log(action, "container", event.at, **fields)

    def _write_result(self, event: ev.StepFinished) -> None:
        if event.step not in self._steps or event.attempt not in self._steps[event.step].attempts:
            begin = event.at - event.duration_s
            self._write_attempt(ev.StepStarted(begin, event.step, event.attempt, event.log))
        step = self._steps[event.step]
        attempt = step.attempts.pop(event.attempt)
        if event.image:
            commit = self._trail.start(attempt, "commit", event.at - event.commit_s)
            self._trail.finish(commit, event.at, image=event.image, name=event.name)
        error = _step_error(event)
        known: dict[str, Any] = {"state": event.state, "exit_code": event.exit_code} | _measured(event)
        if error:
            known |= _parts(error) | {"last_lines": event.last_lines, "log": event.log}
        if event.will_retry_in_s is not None:
            known["will_retry_in_s"] = event.will_retry_in_s
        self._trail.finish(attempt, event.at, error, **known)
        if event.will_retry_in_s is None:
            self._finish_step(event, error)

    def _finish_step(self, event: ev.StepFinished, error: StalkerError | None) -> None:
        step = self._steps.pop(event.step)
        for attempt in step.attempts.values():
            self._trail.finish(attempt, event.at, Interrupted("no end was reported"))
        self._trail.finish(step.action, event.at, error, attempts=event.attempt, **_parts(error))
        if error:
            stalk = self._stalk(event.step, event.at)
            stalk.error = stalk.error or error.brief
        self._leave(event.step, event.at)

    def _write_reused(self) -> None:
        """Write the steps that were found there, as one message a stalk."""
        for name, stalk in list(self._stalks.items()):
            if stalk.reused:
                self._trail.log(stalk.action, "reused", self._last_at, steps=stalk.reused)
                stalk.reused = {}
                self._finish_stalk_when_done(name, self._last_at)

    # stalks

    def _stalk(self, step: StepId, at: float) -> _OpenStalk:
        name = _stalk_of(step)
        if name not in self._stalks:
            waiting = self._planned.pop(name, set())
            action = self._trail.start(self._root, f"stalk {name}", at, stalk=name)
            self._stalks[name] = _OpenStalk(action, waiting, is_planned=bool(waiting))
        return self._stalks[name]

    def _leave(self, step: StepId, at: float) -> None:
        """Strike a step off what its stalk waits for."""
        self._stalk(step, at).waiting.discard(step)
        self._finish_stalk_when_done(_stalk_of(step), at)

    def _finish_stalk_when_done(self, name: str, at: float) -> None:
        stalk = self._stalks[name]
        is_busy = any(_stalk_of(step) == name for step in self._steps)
        if stalk.is_planned and not (stalk.waiting or stalk.reused or is_busy):
            self._finish_stalk(name, at)

    def _finish_stalk(self, name: str, at: float) -> None:
        stalk = self._stalks.pop(name)
        error = StepFailed(stalk.error) if stalk.error else None
        self._trail.finish(stalk.action, at, error, **_parts(error))

    # the end

    def _end(self, event: ev.RunFinished) -> None:
        error = _run_error(event)
        self._finish_all(event.at, error)
        known = {"exit_code": event.exit_code, "ran": event.ran, "reused": event.reused}
        left: dict[str, Any] = {"failed": event.failed, "blocked": event.blocked}
        if event.made or event.kept or event.unmade:
            left |= {"made": event.made, "kept": event.kept, "unmade": event.unmade}
        self._trail.finish(self._root, event.at, error, **known, **left, **_parts(error))

    def _finish_all(self, at: float, error: BaseException | None) -> None:
        broken = error or Interrupted("no end was reported")
        self._write_reused()
        self._write_variables(self._root, at)
        for base in (*self._bases.values(), *self._artifacts.values()):
            self._trail.finish(base, at, broken, **_parts(broken))
        self._artifacts = {}
        for step_id, step in self._steps.items():
            for attempt in step.attempts.values():
                self._trail.finish(attempt, at, broken, **_parts(broken))
            self._trail.finish(step.action, at, broken, **_parts(broken))
            self._stalk(step_id, at).error = f"{step_id} did not end"
        self._bases, self._steps = {}, {}
        for name, stalk in list(self._stalks.items()):
            if error and stalk.waiting:
                stalk.error = stalk.error or f"{len(stalk.waiting)} of its steps were not reached"
            self._finish_stalk(name, at)


def _stalk_of(step: StepId) -> str:
    return step.split(":", 1)[0]


def _run_fields(event: ev.RunStarted) -> dict[str, Any]:
    return {
        "tree": event.tree,
        "config": event.config,
        "workspace": event.workspace,
        "command": " ".join(event.argv),
        "version": event.version,
    }


def _place_in_graph(planned: ev.PlannedStep) -> dict[str, Any]:
    """Return what a plan knows of a step besides its verdict; what is empty is left out."""
    known = {
        "parent": planned.parent,
        "needs": planned.needs,
        "estimate_s": planned.estimate_s,
        "image": planned.image,
        "fingerprint": planned.fingerprint,
    }
    return {name: value for name, value in known.items() if value not in {None, "", ()}}


def _measured(event: ev.StepFinished) -> dict[str, Any]:
    """Return what was measured of an attempt; what is not known is left out."""
    known: dict[str, Any] = {
        "script_s": round(event.script_s, 3),
        "added_bytes": event.added_bytes,
        "cpu_s": event.cpu_s,
        "memory_bytes": event.memory_bytes,
    }
    found = {name: value for name, value in known.items() if value is not None}
    return found | ({"memory_at_most": True} if event.memory_at_most else {})


def _values(event: ev.VariablesSet) -> dict[str, str]:
    return {name: f"{value}  ({place})" for name, value, place in event.variables}


def _parts(error: BaseException | None) -> dict[str, Any]:
    """Return brief, details and resolution of an error; of a foreign one its text."""
    if error is None:
        return {}
    if isinstance(error, StalkerError):
        return {"brief": error.brief, "details": error.details, "resolution": error.resolution}
    return {"brief": str(error) or type(error).__name__, "details": "", "resolution": ""}


def _step_error(event: ev.StepFinished) -> StalkerError | None:
    if event.state == "done":
        return None
    kind = Interrupted if event.state == "cancelled" else StepFailed
    details = event.details or "\n".join(event.last_lines)
    return kind(event.brief or f"{event.step} {event.state}", details, event.resolution)


def _run_error(event: ev.RunFinished) -> StalkerError | None:
    if event.exit_code == 0:
        return None
    kind = _BY_EXIT_CODE.get(event.exit_code, StepFailed)
    wrong = (*event.failed, *event.unmade)
    brief = event.brief or ("failed: " + ", ".join(wrong) if wrong else "the run failed")
    return kind(brief, event.details, event.resolution)
