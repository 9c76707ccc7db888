"""Carry out the plan of a tree: what a run of a tree shares with the making of a toolbox.

A run is drawn, swept and executed; its events begin with RunStarted and end with RunFinished, whatever happens.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stalker import __version__
from stalker.app.history import keep_inputs
from stalker.app.inputs import provided_inputs
from stalker.errors import Interrupted, PlanError, StalkerError
from stalker.io.cancel import Cancel
from stalker.journal.observers import report_files
from stalker.model import events
from stalker.model.program import program
from stalker.run.cleanup import sweep
from stalker.run.lock import engine_key, hold_names
from stalker.run.scheduler import RunOptions, RunResult, execute, provide_bases, repair_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stalker.app.planner import Planner
    from stalker.artifacts.scheduler import ArtifactScheduler
    from stalker.model.events import Event
    from stalker.model.tree import Step, StepId, Tree
    from stalker.plan.plan import Plan

    ArtifactsOf = Callable[[Planner, Plan, "RunContext"], ArtifactScheduler | None]
    """Returns the scheduler of a plan's artifacts, not started yet; None where there are none."""

NAMES_MAX = 3
"""More steps that wait for one reason are counted, not named."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run: its id, the receiver of its events, the values of its secrets, and its options.

    With `wait` it waits for another run that makes the same images; without, such a run is refused.
    """

    run: str
    emit: Callable[[Event], None]
    secrets: Mapping[str, str]
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    keep_going: bool = False
    wait: bool = False
    began_s: float = field(default_factory=time.time)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cancel: Cancel = field(default_factory=Cancel)

    def note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """Emit a line for the user."""
        self.emit(events.Note(time.time(), text, level))


@dataclass(frozen=True, slots=True)
class DrawnPlan:
    """A plan, and the time just before the engine was queried for it."""

    plan: Plan
    since_s: float


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `plan` and `result` are None when it ended before its steps were executed.

    `log_dir` is absolute, and has the journal of the run.
    """

    finished: events.RunFinished
    plan: Plan | None
    result: RunResult | None
    error: StalkerError | None
    log_dir: Path


def record_run(
    tree: Tree,
    workspace: str,
    command: Sequence[str],
    context: RunContext,
    work: Callable[[], tuple[Plan, RunResult]],
) -> RunOutcome:
    """Do the work of a run between its first and its last event; errors of ours become its outcome."""
    plan: Plan | None = None
    result: RunResult | None = None
    error: StalkerError | None = None
    context.emit(
        events.RunStarted(
            context.began_s, context.run, tree.name, tree.file, workspace, tuple(command), __version__
        )
    )
    try:
        report_files(tree, context.emit)
        plan, result = work()
        error = result.error
    except StalkerError as raised:
        error = raised
    except KeyboardInterrupt:
        error = Interrupted("interrupted", "what was committed stays", "the next run goes on from there")
    finally:
        finished = _finished(context.run, plan, result, error, time.time() - context.began_s)
        context.emit(finished)
    return RunOutcome(finished, plan, result, error, Path(tree.workspace, tree.log_dir))


def draw_plan(
    planner: Planner, context: RunContext, enable_platform: Callable[[str], None] | None = None
) -> DrawnPlan:
    """Draw the plan, and remove what killed runs left in the engine.

    `enable_platform` is called for each platform that an emulator is missing for.
    """
    since_s = time.time()
    context.cancel.check()
    plan = planner.draw()
    if plan.blocked and planner.missing_platforms and enable_platform is not None:
        for platform in sorted(planner.missing_platforms):
            enable_platform(platform)
        planner.forget_ground()
        plan = planner.draw()
    assert planner.index is not None
    sweep(planner.engine, planner.index.all, context.note)
    return DrawnPlan(plan, since_s)


def execute_plan(
    planner: Planner, drawn: DrawnPlan, context: RunContext, artifacts_of: ArtifactsOf | None = None
) -> tuple[Plan, RunResult]:
    """Run the steps of a plan and make its artifacts; return the plan as it was executed."""
    context.cancel.check()
    plan = drawn.plan
    if not plan.to_run and not plan.blocked:
        return plan, _make_artifacts(planner, plan, context, artifacts_of)
    names = [action.link.repository for action in plan.to_run]
    owner = f"run {context.run} (process {os.getpid()}, {planner.tree.file})"
    engine_id = engine_key(planner.engine.address.url, lambda: planner.engine.info().id)
    with hold_names(
        engine_id,
        names,
        owner,
        wait=context.wait,
        say=context.note,
        since_s=drawn.since_s,
        stop=context.cancel.is_set,
    ) as was_held:
        if was_held:
            plan = planner.draw()  # the images that another run made meanwhile
        return _execute(planner, plan, context, engine_id, artifacts_of)


def _make_artifacts(
    planner: Planner, plan: Plan, context: RunContext, artifacts_of: ArtifactsOf | None
) -> RunResult:
    """Execute a plan whose steps are all committed: only artifacts may be left to make."""
    result = RunResult()
    _announce(planner, plan, context)
    _require_secrets(plan, context.environ)
    artifacts = artifacts_of(planner, plan, context) if artifacts_of is not None else None
    if artifacts is not None:
        with artifacts, context.cancel.stopping(artifacts.stop):
            artifacts.start()
            artifacts.finish(result)
    return result


def _execute(
    planner: Planner, plan: Plan, context: RunContext, engine_key: str, artifacts_of: ArtifactsOf | None
) -> tuple[Plan, RunResult]:
    """Execute a plan whose image names are locked."""
    _refuse_blocked(plan, keep_going=context.keep_going)
    _require_secrets(plan, context.environ)
    if any(base.verdict == "RUN" for base in plan.bases.values()):
        provide_bases(plan, planner.provider, context.emit, jobs=context.jobs, cancel=context.cancel)
        context.cancel.check()
        plan = planner.draw()  # now the fingerprints of what grows on them are known
    _announce(planner, plan, context)
    # A daemonized step is started again for later steps, though it is reused.
    needed = [one.step for one in plan.actions.values() if one.verdict == "RUN" or one.step.daemonize]
    with provided_inputs(planner.tree, needed, context.secrets, context.environ, context.note) as prepare:
        return _run_steps(planner, plan, context, prepare, engine_key, artifacts_of)


def _run_steps(
    planner: Planner,
    plan: Plan,
    context: RunContext,
    prepare: Callable[[Step], Step],
    engine_key: str,
    artifacts_of: ArtifactsOf | None,
) -> tuple[Plan, RunResult]:
    """Execute a plan whose bases and inputs are there."""
    options = RunOptions(
        context.run,
        planner.tree.file,
        context.jobs,
        keep_going=context.keep_going,
        engine_key=engine_key,
        prepare=prepare,
        cancel=context.cancel,
    )
    artifacts = artifacts_of(planner, plan, context) if artifacts_of is not None else None
    if artifacts is None:
        return plan, execute(plan, planner.engine, context.secrets, context.emit, options)
    with artifacts, context.cancel.stopping(artifacts.stop):
        artifacts.start()
        result = execute(
            plan, planner.engine, context.secrets, context.emit, options, on_done=artifacts.step_done
        )
        artifacts.finish(result)
    return plan, result


def _refuse_blocked(plan: Plan, *, keep_going: bool) -> None:
    """Raise PlanError when a requested step is blocked; nothing has run yet."""
    if not plan.blocked or (keep_going and plan.to_run):
        return
    raise PlanError(
        "the plan has steps that cannot run",
        "\n".join(_obstacle_text(reason, *blocked) for reason, blocked in plan.obstacles().items()),
        f"`{program()} plan` shows all; give the stalk a base that is available here, or make the image",
    )


def _obstacle_text(reason: str, steps: list[StepId], waiting: int) -> str:
    """Return a reason with the steps that wait for it: `a:b, c:d and 3 more, 12 steps wait for them: REASON`."""
    names = ", ".join(steps[:NAMES_MAX])
    names += f" and {len(steps) - NAMES_MAX} more" if len(steps) > NAMES_MAX else ""
    them = "it" if len(steps) == 1 else "them"
    wait = f" ({waiting} {'steps wait' if waiting > 1 else 'step waits'} for {them})" if waiting else ""
    return f"{names}{wait}: {reason}"


def _require_secrets(plan: Plan, environ: Mapping[str, str]) -> None:
    """Raise FilesError when a step or artifact that has to be made needs a secret that cannot be read."""
    needed = {
        variable.secret
        for action in plan.actions.values()
        if action.verdict == "RUN" or action.step.daemonize  # it is started again for later steps
        for variables in (action.step.variables, *(file.variables for file in action.step.files))
        for variable in variables
        if variable.secret
    }
    for production in plan.to_make:
        test = production.artifact.boot_test
        needed |= {one.secret for one in (test.expectations if test else ()) if one.secret}
        for write in production.artifact.writes:
            needed |= {variable.secret for variable in write.variables if variable.secret}
    if needed:
        # late: a tree from the cache needs no readers of files (15 ms)
        from stalker.config.tree.secrets import read_secrets

        read_secrets(plan.links.tree, sorted(needed), environ)


def _announce(planner: Planner, plan: Plan, context: RunContext) -> None:
    """Emit the plan that is executed next and what is doubtful about it; repair names of images."""
    keep_inputs(plan)
    _emit_plan(plan, context.emit)
    for text in planner.cautions:
        context.note(text, "warning")
    for repair in repair_tags(plan, planner.engine):
        context.note(repair)


def planned(plan: Plan) -> events.Planned:
    """Return a plan as the event that observers get."""
    return events.Planned(
        time.time(),
        tuple(
            events.PlannedStep(
                action.id,
                action.verdict,
                action.reason,
                action.link.parent,
                action.link.needs,
                action.estimate_s,
                action.image,
                action.fingerprint,
            )
            for action in plan.actions.values()
        ),
        tuple(
            events.PlannedBase(base.stalk, base.verdict, base.reason, base.image)
            for base in plan.bases.values()
        ),
        tuple(events.PlannedArtifact(one.id, one.verdict, one.reason) for one in plan.artifacts.values()),
    )


def _emit_plan(plan: Plan, emit: Callable[[Event], None]) -> None:
    now = time.time()
    for action in plan.to_run:
        emit(
            events.VariablesSet(
                now,
                action.id,
                tuple(
                    (variable.name, "***" if variable.secret else variable.value, str(variable.place))
                    for variable in action.step.variables
                ),
            )
        )
    emit(planned(plan))
    for action in plan.actions.values():
        if action.verdict == "REUSE":
            emit(events.StepReused(now, action.id, action.image, action.reason))


def _finished(
    run: str, plan: Plan | None, result: RunResult | None, error: StalkerError | None, duration_s: float
) -> events.RunFinished:
    return events.RunFinished(
        at=time.time(),
        run=run,
        exit_code=error.exit_code if error else result.exit_code if result else 1,
        ran=len(result.done) if result else 0,
        reused=(sum(action.verdict == "REUSE" for action in plan.actions.values()) if plan else 0)
        + (len(result.shared) if result else 0),
        failed=tuple(result.failed) if result else (),
        blocked=tuple(result.blocked) if result else (),
        duration_s=duration_s,
        brief=error.brief if error else "",
        details=error.details if error else "",
        resolution=error.resolution if error else "",
        made=len(result.made) if result else 0,
        kept=sum(one.verdict == "REUSE" for one in plan.artifacts.values()) if plan else 0,
        unmade=tuple(result.unmade) if result else (),
    )
