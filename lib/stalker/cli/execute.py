"""A run's second half: the plan is drawn, and what is not there is made; the toolbox is made by this too."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.errors import PlanError
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stalker.cli.making import Making
    from stalker.cli.settings import Planner
    from stalker.model.events import Event
    from stalker.model.tree import StepId
    from stalker.plan.actions import Plan
    from stalker.run.scheduler import RunResult


NAMES_MAX = 3
"""More steps that one reason holds up are counted."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run goes by: its id, who hears of its events, the secrets that it may pass on.

    `wait` is for another run that is making the same images; without it such a run is refused.
    """

    run: str
    emit: Callable[[Event], None]
    secrets: Mapping[str, str]
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    keep_going: bool = False
    wait: bool = False

    def note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """Tell of what is worth a line."""
        self.emit(events.Note(time.time(), text, level))


def plan_and_execute(planner: Planner, terms: Terms) -> tuple[Plan, RunResult]:
    """Sweep, plan and run what is not there."""
    from stalker.run.sweep import sweep

    planner.say = terms.note
    looked_s = time.time()
    plan = planner.draw()
    if plan.blocked and planner.platforms_up():
        plan = planner.draw()
    assert planner.index is not None
    sweep(planner.engine, planner.index.all, terms.note)
    if not plan.to_run and not plan.blocked:
        return plan, _make_artifacts(planner, plan, terms)
    from stalker.run.lock import engine_key, hold_names

    stalks = [action.link.repository for action in plan.to_run]
    who = f"run {terms.run} (process {os.getpid()}, {planner.tree.file})"
    engine_id = engine_key(planner.address.url, lambda: planner.engine.info().id)
    with hold_names(engine_id, stalks, who, wait=terms.wait, say=terms.note, since_s=looked_s) as was_held:
        if was_held:
            plan = planner.draw()  # what another run did meanwhile is there now
        return _execute(planner, plan, terms, engine_id)


def _make_artifacts(planner: Planner, plan: Plan, terms: Terms) -> RunResult:
    """Do a plan whose steps are all there: only artifacts may be left to make."""
    from stalker.run.scheduler import RunResult

    result = RunResult()
    _announce(planner, plan, terms)
    _require_secrets(plan)
    making = _making(planner, plan, terms)
    if making is not None:
        with making:
            making.start()
            making.finish(result)
    return result


def _execute(planner: Planner, plan: Plan, terms: Terms, engine_key: str) -> tuple[Plan, RunResult]:
    """Do a plan whose names are held."""
    from stalker.run.scheduler import RunOptions, execute, provide_bases

    _refuse_blocked(plan, keep_going=terms.keep_going)
    _require_secrets(plan)
    if any(base.verdict == "RUN" for base in plan.bases.values()):
        provide_bases(plan, planner.provider, terms.emit, jobs=terms.jobs)
        plan = planner.draw()  # now the fingerprints of what grows on them are known
    _announce(planner, plan, terms)
    options = RunOptions(
        terms.run, planner.tree.file, terms.jobs, keep_going=terms.keep_going, engine_key=engine_key
    )
    making = _making(planner, plan, terms)
    if making is None:
        return plan, execute(plan, planner.engine, terms.secrets, terms.emit, options)
    with making:
        making.start()
        result = execute(plan, planner.engine, terms.secrets, terms.emit, options, on_done=making.step_done)
        making.finish(result)
    return plan, result


def _making(planner: Planner, plan: Plan, terms: Terms) -> Making | None:
    """Return who makes the artifacts of a plan, None where it has none; nothing is begun yet."""
    if not plan.artifacts:
        return None
    from stalker.cli.making import Making
    from stalker.cli.settings import cache_dir
    from stalker.cli.toolbox import image_maker
    from stalker.engine.docker import DockerEngine
    from stalker.image.produce import check_can_be_packed
    from stalker.image.toolbox import Toolbox
    from stalker.image.workshop import Workshop

    check_can_be_packed([action.artifact for action in plan.to_make])
    workshop = Workshop(
        planner.engine, planner.tree, planner.tree.workspace, terms.secrets, terms.emit, terms.run
    )
    assert isinstance(planner.engine, DockerEngine)
    image_of = image_maker(planner.engine, terms.note)
    workshop.toolbox = Toolbox(planner.engine, image_of, terms.run, workshop.cancel, cache_dir())
    return Making(plan, workshop, cache_dir(), jobs=terms.jobs, keep_going=terms.keep_going, wait=terms.wait)


def _refuse_blocked(plan: Plan, *, keep_going: bool) -> None:
    """Raise when something asked for cannot be: nothing has run yet."""
    if not plan.blocked or (keep_going and plan.to_run):
        return
    raise PlanError(
        "the plan has steps that cannot run",
        "\n".join(_obstacle_text(reason, *held) for reason, held in plan.obstacles().items()),
        "`./stalker plan` shows all; give the stalk a base that can be had here, or make the image",
    )


def _obstacle_text(reason: str, steps: list[StepId], waiting: int) -> str:
    """Return a reason with what it holds up: `a:b, c:d and 3 more, 12 steps wait for them: REASON`."""
    names = ", ".join(steps[:NAMES_MAX])
    names += f" and {len(steps) - NAMES_MAX} more" if len(steps) > NAMES_MAX else ""
    them = "it" if len(steps) == 1 else "them"
    wait = f" ({waiting} {'steps wait' if waiting > 1 else 'step waits'} for {them})" if waiting else ""
    return f"{names}{wait}: {reason}"


def _require_secrets(plan: Plan) -> None:
    """Raise when a step or artifact that has to be made needs a secret that cannot be read. Raises FilesError."""
    needed = {
        variable.secret
        for action in plan.actions.values()
        if action.verdict == "RUN" or action.step.daemonize  # it is started again for later steps
        for variables in (action.step.variables, *(file.variables for file in action.step.files))
        for variable in variables
        if variable.secret
    }
    for making in plan.to_make:
        test = making.artifact.boot_test
        needed |= {one.secret for one in (test.expectations if test else ()) if one.secret}
        for write in making.artifact.writes:
            needed |= {variable.secret for variable in write.variables if variable.secret}
    if needed:
        from stalker.config.secrets import read_secrets

        read_secrets(plan.links.tree, sorted(needed), os.environ)


def _announce(planner: Planner, plan: Plan, terms: Terms) -> None:
    """Tell the plan that is about to be done, what is doubtful of it, and what became of its names."""
    from stalker.run.scheduler import repair_tags

    _tell_plan(plan, terms.emit)
    for text in planner.cautions:
        terms.note(text, "warning")
    for said in repair_tags(plan, planner.engine):
        terms.note(said)


def _tell_plan(plan: Plan, emit: Callable[[Event], None]) -> None:
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
    emit(
        events.Planned(
            now,
            tuple(
                events.PlannedStep(
                    action.id,
                    action.verdict,
                    action.reason,
                    action.link.parent,
                    action.link.needs,
                    action.estimate_s,
                    action.image,
                )
                for action in plan.actions.values()
            ),
            tuple(
                events.PlannedBase(base.stalk, base.verdict, base.reason, base.image)
                for base in plan.bases.values()
            ),
            tuple(events.PlannedArtifact(one.id, one.verdict, one.reason) for one in plan.artifacts.values()),
        )
    )
    for action in plan.actions.values():
        if action.verdict == "REUSE":
            emit(events.StepReused(now, action.id, action.image, action.reason))
