"""The state machine of a run: events in, instructions out; no clock, no threads, no engine.

States of a step: waiting -> running -> done | failed; waiting -> blocked. Told of what happened, the
machine answers with what to do next, so every race of a run is a list of events in a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.tree import StepId

StepState = Literal["waiting", "running", "done", "failed", "blocked"]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A step was committed."""

    step: StepId


@dataclass(frozen=True, slots=True)
class Failed:
    """A step ended badly, after all its attempts."""

    step: StepId


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Nothing new is to start: the user interrupted, or the engine went away."""

    why: str


RunEvent = Succeeded | Failed | StopAsked


@dataclass(frozen=True, slots=True)
class Start:
    """Start a step now."""

    step: StepId


@dataclass(frozen=True, slots=True)
class Block:
    """A step will not run in this run."""

    step: StepId
    cause: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is running and nothing will start."""


Instruction = Start | Block | Finish


class RunState:
    """Which steps wait, run, are done; asked by events.

    `inputs` maps each step that has to run to those of its inputs that have to run too; others are
    there already. `remaining_s` orders the ready ones: the longest way to go first. `jobs` is how
    many run at once. Without `keep_going` the first failure lets what runs finish and starts nothing
    new; with it, a failure blocks only what grows on it.
    """

    def __init__(
        self,
        inputs: Mapping[StepId, tuple[StepId, ...]],
        remaining_s: Mapping[StepId, float],
        *,
        jobs: int,
        keep_going: bool,
    ) -> None:
        self._missing = {step: set(before) for step, before in inputs.items()}
        self._after: dict[StepId, list[StepId]] = {step: [] for step in inputs}
        for step, before in inputs.items():
            for name in before:
                self._after[name].append(step)
        self._order = {step: position for position, step in enumerate(inputs)}
        self._remaining_s = remaining_s
        self._jobs = jobs
        self._keep_going = keep_going
        self._ready = [step for step in inputs if not self._missing[step]]
        self._stopped = ""
        self._asked = ""
        self._finished = False
        self.states: dict[StepId, StepState] = dict.fromkeys(inputs, "waiting")

    def start(self) -> list[Instruction]:
        """Return the first instructions."""
        return self._next()

    def handle(self, event: RunEvent) -> list[Instruction]:
        """Take one event and return what to do; events about steps that do not run are refused.

        Raises:
            ValueError: the event is about a step that is not running.
        """
        if isinstance(event, StopAsked):
            self._stopped = self._asked = self._asked or event.why
            return self._next()
        if self.states.get(event.step) != "running":
            raise ValueError(f"{event.step} is {self.states.get(event.step, 'unknown')}, not running")
        if isinstance(event, Succeeded):
            self.states[event.step] = "done"
            for step in self._after[event.step]:
                self._missing[step].discard(event.step)
                if not self._missing[step] and self.states[step] == "waiting":
                    self._ready.append(step)
            return self._next()
        self.states[event.step] = "failed"
        instructions = self._block_after(event.step)
        if not self._keep_going:
            self._stopped = self._stopped or f"{event.step} failed"
        return instructions + self._next()

    @property
    def running(self) -> list[StepId]:
        """The steps that run now."""
        return [step for step, state in self.states.items() if state == "running"]

    def _block_after(self, failed: StepId) -> list[Instruction]:
        blocked: list[Instruction] = []
        todo = list(self._after[failed])
        while todo:
            step = todo.pop(0)
            if self.states[step] == "waiting":
                self.states[step] = "blocked"
                blocked.append(Block(step, self._asked or f"{failed} failed"))
                todo += self._after[step]
        return blocked

    def _next(self) -> list[Instruction]:
        instructions: list[Instruction] = []
        if not self._stopped:
            self._ready = [step for step in self._ready if self.states[step] == "waiting"]
            self._ready.sort(key=lambda step: (-self._remaining_s.get(step, 0.0), self._order[step]))
            free = self._jobs - len(self.running)
            for step in self._ready[: max(free, 0)]:
                self.states[step] = "running"
                instructions.append(Start(step))
            self._ready = self._ready[max(free, 0) :]
        if not self.running and not self._finished:
            for step, state in self.states.items():
                if state == "waiting":
                    self.states[step] = "blocked"
                    instructions.append(Block(step, self._stopped or "its inputs did not run"))
            self._finished = True
            instructions.append(Finish())
        return instructions
