"""A plan, done: bases first, then the steps as their inputs get ready.

The main thread asks `RunState` what to do and waits for outcomes; steps run in an executor. Whatever
ends the run, no container of it is left.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from stalker.errors import EngineError, InputError, Interrupted, NoEngine, StalkerError
from stalker.io.cancel import Cancel
from stalker.model import events
from stalker.model.base_key import base_key, describe_base
from stalker.model.images import short_id
from stalker.plan.graph import remaining_path_s
from stalker.plan.run_state import (
    Block,
    Failed,
    Finish,
    Release,
    RunState,
    Start,
    StopAsked,
    Succeeded,
    Take,
    Taken,
)
from stalker.run.job import Job, Outcome
from stalker.run.session import Sessions
from stalker.run.step import Surroundings, run_step
from stalker.run.store_locks import StoreLocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stalker.engine.interface import BaseProvider, Engine
    from stalker.model.artifacts import ArtifactId
    from stalker.model.events import Event
    from stalker.model.tree import Step, StepId
    from stalker.plan.graph import Link
    from stalker.plan.plan import Action, BaseAction, Plan
    from stalker.plan.run_state import Instruction, StepState

    _Outcomes = queue.SimpleQueue[Outcome | Taken | StalkerError | None]

ONE_SIGNAL_S = 0.4

GOES_ON = "the next run goes on from there"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a plan is to be done. `tree_file` is as the user named it; `run` is the run's id."""

    run: str
    tree_file: str
    jobs: int
    keep_going: bool = False
    engine_key: str = ""
    """What tells the engine from others for locks; see `lock.engine_key`."""
    prepare: Callable[[Step], Step] = lambda step: step
    """Returns a step with the files of this host that were fetched for it."""
    cancel: Cancel = field(default_factory=Cancel)


@dataclass(slots=True)
class RunResult:
    """What became of the steps of a run, and of the artifacts that were to be made."""

    states: Mapping[StepId, StepState] = field(default_factory=dict)
    """Those of the steps that were to run, in the order of the plan."""
    error: StalkerError | None = None
    made: list[ArtifactId] = field(default_factory=list)
    unmade: list[ArtifactId] = field(default_factory=list)
    images: dict[StepId, str] = field(default_factory=dict)
    """The image of each step that is there now, whether it ran or was reused."""

    @property
    def done(self) -> list[StepId]:
        """The steps that ran and were committed."""
        return self._steps("done")

    @property
    def shared(self) -> list[StepId]:
        """The steps that took what another one of the run left: it did the same work."""
        return self._steps("shared")

    @property
    def failed(self) -> list[StepId]:
        """The steps that ended badly."""
        return self._steps("failed")

    @property
    def blocked(self) -> list[StepId]:
        """The steps that could not run, or were cancelled."""
        return self._steps("blocked", "cancelled")

    def _steps(self, *states: StepState) -> list[StepId]:
        return [step for step, state in self.states.items() if state in states]

    @property
    def exit_code(self) -> int:
        """0 done, 1 a step failed, else that of the error that ended the run."""
        if self.error is not None:
            return self.error.exit_code
        return 1 if self.failed or self.blocked or self.unmade else 0


def provide_bases(
    plan: Plan,
    provider: Callable[[str], BaseProvider],
    emit: Callable[[Event], None],
    *,
    jobs: int,
    cancel: Cancel,
) -> None:
    """Get the first images that are missing, side by side; `provider` is asked for each platform.

    Raises:
        InputError: what was fetched is bad. EngineError: the engine refused, or no registry has it.
        Interrupted: the user stopped it; what was under way is ended first.
    """
    wanted = [base for base in plan.bases.values() if base.verdict == "RUN" and _is_asked_for(plan, base)]
    if not wanted:
        return
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(jobs, len(wanted)), thread_name_prefix="stalker-base")
    made = [pool.submit(_provide, plan, base, provider, emit, stop) for base in wanted]
    try:
        with cancel.stopping(stop.set):
            for future in made:
                future.result()
    except KeyboardInterrupt:
        stop.set()
        emit(events.Note(time.time(), "stopping what fetches the base; Ctrl-C again ends at once"))
        try:
            pool.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:
            os._exit(130)
        raise _interrupted() from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _interrupted() -> Interrupted:
    return Interrupted("interrupted", "what was committed stays", GOES_ON)


def _is_asked_for(plan: Plan, base: BaseAction) -> bool:
    return any(
        action.link.base_stalk == base.stalk and action.link.parent is None and action.verdict == "RUN"
        for action in plan.actions.values()
    )


def _provide(
    plan: Plan,
    action: BaseAction,
    provider: Callable[[str], BaseProvider],
    emit: Callable[[Event], None],
    stop: threading.Event,
) -> None:
    """Try the stalk's bases from the chosen one on; the next is used when one is not available."""
    stalk = plan.links.tree.stalk(action.stalk)
    assert action.base is not None
    candidates = stalk.bases[stalk.bases.index(action.base) :]

    def progress(text: str) -> None:
        if stop.is_set():
            raise _interrupted()
        emit(events.BaseProgress(time.time(), action.stalk, text))

    for position, base in enumerate(candidates):
        began_s = time.time()
        said = describe_base(base)
        emit(events.BaseStarted(began_s, action.stalk, said))
        try:
            image = provider(stalk.platform).provide(base, action.name, progress)
        except StalkerError as error:
            emit(
                events.BaseFinished(
                    time.time(), action.stalk, said, "", time.time() - began_s, error=error.brief
                )
            )
            # Bad content is never passed over for the next base: the user should look at it.
            may_try_next = isinstance(error, EngineError) and not isinstance(error, NoEngine)
            if isinstance(error, InputError) or not may_try_next or position == len(candidates) - 1:
                raise
            continue
        emit(events.BaseFinished(time.time(), action.stalk, said, image.id, time.time() - began_s))
        return


def execute(
    plan: Plan,
    engine: Engine,
    secrets: Mapping[str, str],
    emit: Callable[[Event], None],
    options: RunOptions,
    executor: Executor | None = None,
    on_done: Callable[[StepId, str], None] = lambda _step, _image: None,
) -> RunResult:
    """Run what the plan says, and return what became of it; raises nothing of ours.

    `on_done` is called for each step that ran, and its image, as soon as that is there.
    """
    return _Run(plan, engine, secrets, emit, options, on_done).go(executor)


class _Run:
    """The moving parts of one run; only the main thread touches them."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        secrets: Mapping[str, str],
        emit: Callable[[Event], None],
        options: RunOptions,
        on_done: Callable[[StepId, str], None],
    ) -> None:
        self._plan = plan
        self._on_done = on_done
        self._engine = engine
        self._emit = emit
        self._options = options
        self._cancel = threading.Event()
        self._sessions = Sessions(engine, options.run)
        self._around = Surroundings(engine, self._sessions, secrets, self._cancel, emit)
        self._outcomes: _Outcomes = queue.SimpleQueue()  # None: a signal came
        who = f"run {options.run} (process {os.getpid()}, {options.tree_file})"
        self._stores = StoreLocks(options.engine_key, who, self._note, self._outcomes.put)
        self._images = {action.id: action.image for action in plan.actions.values()}
        self._commits = {action.id: action.commit for action in plan.actions.values()}
        self._left: dict[str, int] = {}
        self._services_up: set[StepId] = set()
        to_run = {action.id for action in plan.to_run}
        durations_s = {
            action.id: action.estimate_s for action in plan.to_run if action.estimate_s is not None
        }
        remaining_s = remaining_path_s(plan.links, durations_s)
        self._state = RunState(
            {
                action.id: tuple(name for name in action.link.inputs if name in to_run)
                for action in plan.to_run
            },
            remaining_s,
            jobs=options.jobs,
            keep_going=options.keep_going,
            stores=_locked_stores(plan),
            works={action.id: action.doer or "" for action in plan.to_run},
        )
        self._result = RunResult(self._state.states)
        for action in plan.to_run:
            self._left[action.step.stalk] = self._left.get(action.step.stalk, 0) + 1

    def go(self, executor: Executor | None) -> RunResult:
        """Work until nothing is left to do."""
        with _signals_into(self._outcomes), self._options.cancel.stopping(self._request_stop):
            return self._go(executor)

    def _request_stop(self) -> None:
        self._outcomes.put(Interrupted("the run was cancelled", "what was committed stays", GOES_ON))

    def _go(self, executor: Executor | None) -> RunResult:
        pool = executor or ThreadPoolExecutor(self._options.jobs, thread_name_prefix="stalker-step")
        try:
            self._follow(self._state.start(), pool)
            while not self._state.is_over:
                self._take(self._wait(), pool)
        finally:
            if executor is None:
                pool.shutdown(wait=True)
            try:
                self._sessions.close()
            except StalkerError as error:
                self._result.error = self._result.error or error
            self._stores.close()
        self._result.images = self._images
        return self._result

    def _note(self, text: str) -> None:
        self._emit(events.Note(time.time(), text))

    def _wait(self) -> Outcome | Taken | None:
        """Wait for what comes next, None when nothing will.

        Ctrl-C asks the steps to stop, a second one ends at once.
        """
        while True:
            outcome = self._outcomes.get()
            if isinstance(outcome, Outcome | Taken):
                return outcome
            if outcome is not None:
                self._result.error = self._result.error or outcome
                self._stop(outcome.brief)
            elif self._cancel.is_set():
                self._sessions.remove_at_once()
                os._exit(130)
            else:
                self._result.error = _interrupted()
                self._note("stopping: containers are removed; Ctrl-C again ends at once")
                self._stop("the user stopped the run")
            if self._state.is_over:
                return None

    def _stop(self, why: str) -> None:
        self._cancel.set()
        for instruction in self._state.handle(StopAsked(why)):
            self._end_waiting(instruction)

    def _take(self, outcome: Outcome | Taken | None, pool: Executor) -> None:
        if outcome is None:
            return
        if isinstance(outcome, Taken):
            self._follow(self._state.handle(outcome), pool)
            return
        name = outcome.step
        if outcome.state == "done":
            self._images[name], self._commits[name] = outcome.image, outcome.commit
            self._finish_step(name)
            self._on_done(name, outcome.image)
            self._follow(self._state.handle(Succeeded(name)), pool)
            return
        if isinstance(outcome.error, NoEngine) and self._result.error is None:
            self._result.error = outcome.error
            self._stop(outcome.error.brief)
        self._finish_step(name)
        self._follow(self._state.handle(Failed(name, was_cancelled=outcome.state == "cancelled")), pool)

    def _follow(self, instructions: list[Instruction], pool: Executor) -> None:
        for instruction in instructions:
            if isinstance(instruction, Start):
                self._start(self._plan.actions[instruction.step], pool, instruction.same_as)
            elif isinstance(instruction, Take):
                self._stores.take(instruction.stalk, instruction.stores)
            else:
                self._end_waiting(instruction)

    def _end_waiting(self, instruction: Instruction) -> None:
        """Do an instruction after which less is under way."""
        if isinstance(instruction, Block):
            self._block(instruction)
        elif isinstance(instruction, Release):
            self._release(instruction.stalk)
        else:
            assert isinstance(instruction, Finish)

    def _release(self, stalk: str) -> None:
        """Give back the stores of a stalk, once nothing of it can write there any more."""
        try:
            self._sessions.end_stalk(stalk)
            self._sessions.settle()
        except StalkerError as error:
            self._result.error = self._result.error or error
        self._stores.release(stalk)

    def _block(self, instruction: Block) -> None:
        self._emit(events.StepBlocked(time.time(), instruction.step, instruction.cause))
        self._finish_step(instruction.step)

    def _finish_step(self, name: StepId) -> None:
        stalk = self._plan.links.by_id[name].step.stalk
        self._left[stalk] -= 1
        if not self._left[stalk]:
            self._sessions.end_stalk(stalk)

    def _start(self, action: Action, pool: Executor, same_as: StepId | None) -> None:
        if same_as is not None:
            done = Outcome(action.id, "done", self._images[same_as], commit=self._commits[same_as])
            future: Future[Outcome] = pool.submit(_share, self._job(action), done, same_as, self._around)
        else:
            jobs = [*self._services_before(action), self._job(action)]
            future = pool.submit(_run_in_row, jobs, self._around)
        future.add_done_callback(lambda done: self._end(done, action.id))

    def _end(self, done: Future[Outcome], name: StepId) -> None:
        """Hand an outcome to the main thread; a worker that raises is a bug, and reported as one."""
        error = done.exception()
        if error is None:
            self._outcomes.put(done.result())
            return
        wrong = StalkerError(f"{name}: {error!r}", "this is a bug in stalker")
        wrong.__cause__ = error
        self._emit(_failed(name, "failed", wrong.brief))
        self._outcomes.put(Outcome(name, "failed", error=wrong))

    def _services_before(self, action: Action) -> list[Job]:
        """Daemonized steps of the same stalk that are reused but have to be up for this one."""
        found = []
        for step in self._plan.links.tree.stalk(action.step.stalk).steps:
            if step.id == action.id:
                break
            before = self._plan.actions.get(step.id)
            is_there = before is not None and (
                before.verdict == "REUSE" or self._result.states[step.id] == "shared"
            )
            if before is None or not is_there or step.id in self._services_up:
                continue
            if step.daemonize:
                self._services_up.add(step.id)
                found.append(self._job(before, is_service=True))
        return found

    def _job(self, action: Action, *, is_service: bool = False) -> Job:
        link = action.link
        tree = self._plan.links.tree
        log = f"{tree.arch_label}-{link.step.name}-{self._options.run}"  # no other run's log has that name
        return Job(
            step=self._options.prepare(link.step),
            repository=link.repository,
            image=self._start_image(link.id),
            fingerprint=action.fingerprint,
            inputs=action.inputs,
            parents=self._parents(link),
            tree_file=self._options.tree_file,
            workspace=tree.workspace,
            run=self._options.run,
            log_stem=f"{tree.log_dir}/{link.step.stalk}/{log}",
            needs=self._needs(tree.stalk(link.step.stalk).steps[0].id),
            is_first=link.is_first,
            is_last=link.is_last,
            is_service=is_service,
        )

    def _needs(self, first: StepId) -> dict[StepId, str]:
        """Return the fingerprints of what the stalk with this first step needs."""
        known = self._plan.actions[first].inputs  # a step that is taken as committed has none of its own
        return {
            # What an earlier version of stalker made left its work under the fingerprint that it had.
            need: self._plan.actions[need].made_as
            or known.get(f"needs {need}")
            or self._plan.actions[need].fingerprint
            for need in self._plan.links.by_id[first].needs
        }

    def _parents(self, link: Link) -> dict[str, str]:
        """Return what a step is made from: the commits of its inputs, or the key and the image of a base."""
        found: dict[str, str] = {name: self._commits[name] for name in link.inputs if self._commits.get(name)}
        base = self._plan.bases[link.base_stalk].base if link.parent is None else None
        if base is not None:
            found["initial"] = self._plan.bases[link.base_stalk].image
            found["base"] = base_key(base, self._plan.links.tree.stalk(link.base_stalk).platform)
        return found

    def _start_image(self, name: StepId) -> str:
        """Return the id of the image that a step starts from."""
        link = self._plan.links.by_id[name]
        if link.parent is None:
            return self._plan.bases[link.base_stalk].image
        return self._images.get(link.parent, "")


def _locked_stores(plan: Plan) -> dict[str, frozenset[str]]:
    """Return the locked stores of the stalks that have any."""
    found: dict[str, frozenset[str]] = {}
    for action in plan.to_run:
        stores = frozenset(mount.source for mount in action.step.mounts if mount.is_locked)
        if stores:
            found[action.step.stalk] = stores
    return found


def _share(job: Job, done: Outcome, same_as: StepId, around: Surroundings) -> Outcome:
    """Give a step what another one of this run left, which did the same work."""
    names = [job.step.name, *(["initial"] if job.is_first else [])]
    if job.is_last and job.step.name != "final":
        names.append("final")
    try:
        for name in names:
            around.engine.tag(job.image if name == "initial" else done.image, f"{job.repository}:{name}")
    except StalkerError as error:
        around.emit(_failed(job.step.id, "failed", f"{job.step.id}: {error.brief}"))
        return Outcome(job.step.id, "failed", error=error)
    reason = f"the same work as {same_as}, which ran"
    around.emit(events.StepReused(around.now(), job.step.id, done.image, reason, same_as))
    return done


def _run_in_row(jobs: list[Job], around: Surroundings) -> Outcome:
    """Bring up services, then run the step; a service that does not come up fails the step."""
    job = jobs[-1]
    for service in jobs[:-1]:
        outcome = run_step(service, around)
        if outcome.state != "done":
            brief = f"{job.step.id}: {service.step.id}, which has to be up for it, did not come up"
            around.emit(_failed(job.step.id, outcome.state, brief))
            return Outcome(job.step.id, outcome.state, error=outcome.error)
    return run_step(job, around)


def _failed(name: StepId, state: Literal["done", "failed", "timeout", "cancelled"], brief: str) -> Event:
    """Tell of a step that could not even begin."""
    return events.StepFinished(time.time(), name, 1, state, 0.0, brief=brief)


@contextlib.contextmanager
def _signals_into(outcomes: _Outcomes) -> Iterator[None]:
    """Put None among the outcomes when a signal asks to stop, so that nothing is interrupted half-way.

    Two signals within a moment are one: `timeout` and the terminal both pass on a single Ctrl-C.
    """
    last_s = -ONE_SIGNAL_S

    def asked(_number: int, _frame: object) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= ONE_SIGNAL_S:
            outcomes.put(None)
        last_s = now_s

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, asked)
    try:
        yield
    finally:
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)


def repair_tags(plan: Plan, engine: Engine) -> list[str]:
    """Put names back where they belong, as planned for steps that are reused; return what was done."""
    said = []
    for action in plan.actions.values():
        has_own = any(name == action.link.image_name for name, _ in action.names)
        for name, image in action.names:
            engine.tag(image, name)
            # `:initial` and `:final` go with the step's own name.
            if name == action.link.image_name or not has_own:
                said.append(f"{name} is {short_id(image)} now")
    return said
