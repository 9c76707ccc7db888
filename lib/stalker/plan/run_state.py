"""The state machine of a run: events in, instructions out; no clock, no threads, no engine.

States of a step: waiting -> running -> done | shared | failed | cancelled; waiting -> blocked. Given what
happened, the machine returns what to do next, so every race of a run is a list of events in a test. Its
states are the only record of what became of the steps.

A stalk that mounts stores as `locked` has them for itself from its first step that starts to its last.
It takes all of them at once. Only the first of its steps waits for other stalks, so what holds stores
always gets on, and its steps come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

import networkx as nx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.tree import StepId

StepState = Literal["waiting", "running", "done", "shared", "failed", "cancelled", "blocked"]
"""`shared` is done, by taking what another step of the run left: it did the same work."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A step was committed."""

    step: StepId


@dataclass(frozen=True, slots=True)
class Failed:
    """A step ended badly, after all its attempts, or because it was cancelled."""

    step: StepId
    was_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Nothing new is to start: the user interrupted, or the engine went away."""

    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The locked stores of a stalk are its own now: no other run has one of them."""

    stalk: str


RunEvent = Succeeded | Failed | StopAsked | Taken


@dataclass(frozen=True, slots=True)
class Start:
    """Start a step now; with `same_as` take what that step of this run left: it did the same work."""

    step: StepId
    same_as: StepId | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A step will not run in this run."""

    step: StepId
    cause: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is running and nothing will start."""


@dataclass(frozen=True, slots=True)
class Take:
    """Get the locked stores of a stalk, however long other runs have them; `Taken` is the answer."""

    stalk: str
    stores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Give back the stores of a stalk, or stop waiting for them: no step of it runs or will start."""

    stalk: str


Instruction = Start | Block | Finish | Take | Release


class RunState:
    """Which steps wait, run, are done; asked by events.

    `inputs` maps each step that has to run to those of its inputs that have to run too; others are
    there already. `works` names the work of each step: of steps with the same work one
    runs, and the others wait for it and take what it left; when it fails they are blocked. `remaining_s`
    orders the ready ones: the longest way to go first. `jobs` is how many run at once. Without `keep_going`
    the first failure lets what runs finish and starts nothing new; with it, a failure blocks only what
    grows on it. `stores` are the locked stores of stalks.
    """

    def __init__(
        self,
        inputs: Mapping[StepId, tuple[StepId, ...]],
        remaining_s: Mapping[StepId, float],
        *,
        jobs: int,
        keep_going: bool,
        stores: Mapping[str, frozenset[str]] | None = None,
        works: Mapping[StepId, str] | None = None,
    ) -> None:
        self._works = works or {}
        self._doers: dict[str, StepId] = {}
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(inputs)
        self._graph.add_edges_from((before, step) for step in inputs for before in inputs[step])
        self._missing: dict[StepId, int] = dict(self._graph.in_degree)
        """How many inputs of each step are still to be made."""
        self._order = {step: position for position, step in enumerate(inputs)}
        self._remaining_s = remaining_s
        self._jobs = jobs
        self._keep_going = keep_going
        self._ready = [step for step in inputs if not self._missing[step]]
        self._stopped = ""
        self._asked = ""
        self._finished = False
        self._stores = stores or {}
        self._holders: dict[str, bool] = {}
        """The stalks whose stores were asked for, and whether they have them."""
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
        if isinstance(event, Taken):
            return self._taken(event.stalk)
        if self.states.get(event.step) != "running":
            raise ValueError(f"{event.step} is {self.states.get(event.step, 'unknown')}, not running")
        if isinstance(event, Succeeded):
            self.states[event.step] = "done" if self._does_own_work(event.step) else "shared"
            for step in self._graph.successors(event.step):
                self._missing[step] -= 1
                if not self._missing[step] and self.states[step] == "waiting":
                    self._ready.append(step)
            return self._next()
        self.states[event.step] = "cancelled" if event.was_cancelled else "failed"
        instructions = self._block_after(event.step) + self._block_same(event.step)
        if not self._keep_going:
            self._stopped = self._stopped or f"{event.step} failed"
        return instructions + self._next()

    @property
    def running(self) -> list[StepId]:
        """The steps that run now."""
        return [step for step, state in self.states.items() if state == "running"]

    @property
    def is_over(self) -> bool:
        """Return whether no event can come any more: nothing runs, and no stalk waits for its stores."""
        return not self.running and all(self._holders.values())

    def _taken(self, stalk: str) -> list[Instruction]:
        if stalk not in self._holders:  # it was released at the same moment
            return []
        self._holders[stalk] = True
        return self._next()

    def _block_same(self, failed: StepId) -> list[Instruction]:
        """Block the steps that wait for a step to do their work, which failed."""
        if not self._does_own_work(failed):
            return []
        blocked: list[Instruction] = []
        for step, state in self.states.items():
            if state == "waiting" and self._work(step) == self._work(failed):
                self.states[step] = "blocked"
                blocked.append(Block(step, self._asked or f"{failed}, which is the same work, failed"))
                blocked += self._block_after(step)
        return blocked

    def _does_own_work(self, step: StepId) -> bool:
        return self._doers.get(self._work(step)) == step

    def _work(self, step: StepId) -> str:
        return self._works.get(step) or step

    def _block_after(self, failed: StepId) -> list[Instruction]:
        after = chain.from_iterable(nx.bfs_layers(self._graph, [failed]))
        waiting = [step for step in after if self.states[step] == "waiting"]
        self.states.update(dict.fromkeys(waiting, "blocked"))
        return [Block(step, self._asked or f"{failed} failed") for step in waiting]

    def _next(self) -> list[Instruction]:
        instructions = self._release()
        if not self._stopped:
            instructions += self._start_ready()
        if self.is_over and not self._finished:
            for step, state in self.states.items():
                if state == "waiting":
                    self.states[step] = "blocked"
                    instructions.append(Block(step, self._stopped or "its inputs did not run"))
            self._finished = True
            instructions.append(Finish())
        return instructions

    def _start_ready(self) -> list[Instruction]:
        """Start what may start; a stalk that lacks its stores gets them first, without a place among the jobs."""
        instructions: list[Instruction] = []
        ready = [step for step in self._ready if self.states[step] == "waiting"]
        ready.sort(key=self._rank)
        self._ready = []
        free = self._jobs - len(self.running)
        for step in ready:
            stalk = _stalk_of(step)
            doer = self._doers.get(self._work(step))
            does_share = doer is not None and self.states[doer] == "done"
            if free > 0 and (does_share or (doer is None and self._has_stores(stalk))):
                self._doers.setdefault(self._work(step), step)
                self.states[step] = "running"
                instructions.append(Start(step, doer))
                free -= 1
                continue
            self._ready.append(step)
            if free > 0 and doer is None and self._can_take(stalk):
                self._holders[stalk] = False
                instructions.append(Take(stalk, tuple(sorted(self._stores[stalk]))))
        return instructions

    def _rank(self, step: StepId) -> tuple[bool, float, int]:
        return _stalk_of(step) not in self._holders, -self._remaining_s.get(step, 0.0), self._order[step]

    def _has_stores(self, stalk: str) -> bool:
        return not self._stores.get(stalk) or self._holders.get(stalk, False)

    def _can_take(self, stalk: str) -> bool:
        taken = {store for holder in self._holders for store in self._stores[holder]}
        return stalk not in self._holders and taken.isdisjoint(self._stores[stalk])

    def _release(self) -> list[Instruction]:
        """Release the stores of stalks that are through, and of all that will not start."""
        if not self._holders:
            return []
        active = {
            _stalk_of(step)
            for step, state in self.states.items()
            if state == "running" or (state == "waiting" and not self._stopped)
        }
        over = [stalk for stalk in self._holders if stalk not in active]
        for stalk in over:
            del self._holders[stalk]
        return [Release(stalk) for stalk in over]


def _stalk_of(step: StepId) -> str:
    return step.partition(":")[0]
