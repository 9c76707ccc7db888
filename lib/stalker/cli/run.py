"""`stalker run`: read, plan, execute."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker import __version__
from stalker.cli.settings import Planner, Settings, Wanted, connect, parse_overrides, read_tree
from stalker.cli.told import Told, tell_files
from stalker.errors import FilesError, Interrupted, PlanError, StalkerError
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stalker.cli.making import Making
    from stalker.model.events import Event
    from stalker.model.tree import Tree
    from stalker.plan.actions import Plan
    from stalker.run.scheduler import RunResult


def run_tree(
    settings: Settings,
    config: str,
    *,
    wanted: Wanted | None = None,
    jobs: int = 0,
    keep_going: bool = False,
    wait: bool = False,
    yes: bool = False,
    watch_stdout: bool = False,
    eliot_info: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Read, plan, execute; return the exit code."""
    from stalker.journal.setup import open_observers
    from stalker.run.owner import new_run_id

    wanted = wanted or Wanted()
    began_s = time.time()
    tree = read_tree(settings, config, wanted.overrides)
    engine = connect()
    run = new_run_id(began_s)
    planner = Planner.of(settings, tree, engine, wanted, yes=yes)
    secrets = _readable_secrets(tree)
    observers = open_observers(
        tree,
        run,
        list(secrets.values()),
        watch_stdout=watch_stdout,
        eliot_info=eliot_info,
        as_json=as_json,
        quiet=quiet,
    )
    told = Told(observers.all)
    result: RunResult | None = None
    error: StalkerError | None = None
    plan: Plan | None = None
    # Whoever ends us politely (a service manager, a closed terminal) gets the same clean stop as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        told.emit(
            events.RunStarted(
                began_s, run, tree.name, tree.file, settings.workspace, tuple(sys.argv), __version__
            )
        )
        tell_files(tree, told.emit)
        plan, result = plan_and_execute(
            planner, secrets, told.emit, run, jobs=jobs, keep_going=keep_going, wait=wait
        )
        error = result.error
    except StalkerError as raised:
        error = raised
    except KeyboardInterrupt:
        error = Interrupted("interrupted", "what was committed stays", "the next run goes on from there")
    finally:
        code = error.exit_code if error is not None else result.exit_code if result is not None else 1
        told.emit(_finished(run, plan, result, error, code, time.time() - began_s))
        observers.close()
        engine.close()
    if code == 0 and wanted == Wanted() and plan is not None and result is not None and not tree.warnings:
        from stalker.cli.noting import note_for_next

        note_for_next(settings, config, planner, plan, result)
    return code


def plan_and_execute(
    planner: Planner,
    secrets: Mapping[str, str],
    emit: Callable[[Event], None],
    run: str,
    *,
    jobs: int,
    keep_going: bool,
    wait: bool,
) -> tuple[Plan, RunResult]:
    """Sweep, plan and run what is not there; the toolbox is made by this too."""
    from stalker.run.scheduler import RunOptions, RunResult, execute, provide_bases, repair_tags
    from stalker.run.sweep import sweep

    def note(text: str) -> None:
        emit(events.Note(time.time(), text))

    planner.say = note
    looked_s = time.time()
    plan = planner.draw()
    assert planner.index is not None
    sweep(planner.engine, planner.index.all, note)
    if not plan.to_run and not plan.blocked:
        _tell_plan(plan, emit)
        for said in repair_tags(plan, planner.engine, planner.index.ids()):
            note(said)
        result = RunResult()
        _require_secrets(plan)
        making = _making(planner, plan, secrets, emit, run, jobs=jobs, keep_going=keep_going, wait=wait)
        if making is not None:
            with making:
                making.start()
                making.finish(result)
        return plan, result
    from stalker.run.lock import engine_key, hold_names

    stalks = [action.link.repository for action in plan.to_run]
    who = f"run {run} (process {os.getpid()}, {planner.tree.file})"
    engine_id = engine_key(planner.address, lambda: planner.engine.info().id)
    with hold_names(engine_id, stalks, who, wait=wait, say=note, since_s=looked_s) as was_held:
        if was_held:
            plan = planner.draw()  # what another run did meanwhile is there now
        _refuse_blocked(plan, keep_going=keep_going)
        _require_secrets(plan)
        jobs = jobs or os.cpu_count() or 1
        if any(base.verdict == "RUN" for base in plan.bases.values()):
            provide_bases(plan, planner.provider, emit, jobs=jobs)
            plan = planner.draw()  # now the fingerprints of what grows on them are known
        _tell_plan(plan, emit)
        for text in planner.cautions:
            emit(events.Note(time.time(), text, "warning"))
        for said in repair_tags(plan, planner.engine, planner.index.ids()):
            note(said)
        options = RunOptions(run, planner.tree.file, jobs, keep_going=keep_going)
        making = _making(planner, plan, secrets, emit, run, jobs=jobs, keep_going=keep_going, wait=wait)
        if making is None:
            return plan, execute(plan, planner.engine, secrets, emit, options)
        with making:
            making.start()
            result = execute(plan, planner.engine, secrets, emit, options, on_done=making.step_done)
            making.finish(result)
        return plan, result


def _making(
    planner: Planner,
    plan: Plan,
    secrets: Mapping[str, str],
    emit: Callable[[Event], None],
    run: str,
    *,
    jobs: int,
    keep_going: bool,
    wait: bool,
) -> Making | None:
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
    workshop = Workshop(planner.engine, planner.tree, planner.tree.workspace, secrets, emit, run)
    assert isinstance(planner.engine, DockerEngine)
    image_of = image_maker(planner.engine, lambda text: emit(events.Note(time.time(), text)))
    workshop.toolbox = Toolbox(planner.engine, image_of, run, workshop.cancel, cache_dir())
    jobs = jobs or os.cpu_count() or 1
    return Making(plan, workshop, cache_dir(), jobs=jobs, keep_going=keep_going, wait=wait)


def _refuse_blocked(plan: Plan, *, keep_going: bool) -> None:
    """Raise when something asked for cannot be: nothing has run yet."""
    if not plan.blocked or (keep_going and plan.to_run):
        return
    raise PlanError(
        "the plan has steps that cannot run",
        "\n".join(f"{action.id}: {action.reason}" for action in plan.blocked[:10]),
        "`./stalker plan` shows all; give the stalk a base that can be had here, or make the image",
    )


def _readable_secrets(tree: Tree) -> dict[str, str]:
    """Return the values of the tree's secrets that can be read here: all are masked, if used or not."""
    if not tree.secrets:
        return {}
    import contextlib

    from stalker.config.secrets import read_secrets

    found: dict[str, str] = {}
    for source in tree.secrets:
        with contextlib.suppress(FilesError):
            found.update(read_secrets(tree, [source.name], os.environ))
    return found


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


def _finished(
    run: str,
    plan: Plan | None,
    result: RunResult | None,
    error: StalkerError | None,
    code: int,
    duration_s: float,
) -> events.RunFinished:
    return events.RunFinished(
        at=time.time(),
        run=run,
        exit_code=code,
        ran=len(result.done) if result else 0,
        reused=sum(action.verdict == "REUSE" for action in plan.actions.values()) if plan else 0,
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


@click.command()
@click.argument("tree")
@click.option("--from", "start", metavar="STALK[:STEP]", help="Run again from there.")
@click.option("--until", metavar="STALK[:STEP]", help="Only that and what it grows on.")
@click.option("--only", metavar="STALK[:STEP]", help="Only that; all else is taken as it is committed.")
@click.option("--no-cache", is_flag=True, help="Reuse nothing.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Steps at a time; default: the cores here.")
@click.option("--keep-going", "-k", is_flag=True, help="A failed step blocks only what grows on it.")
@click.option("--set", "overrides", multiple=True, metavar="VAR=VALUE", help="Set a variable.")
@click.option("--wait", is_flag=True, help="Wait for another run on the same names.")
@click.option("--yes", "-y", is_flag=True, help="Answer questions with yes.")
@click.option("--watch-stdout", is_flag=True, help="Show each step's output.")
@click.option("--eliot-info", is_flag=True, help="Show what is done on stdout.")
@click.option("--json", "as_json", is_flag=True, help="One event a line on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.pass_context
def run(
    ctx: click.Context,
    tree: str,
    start: str | None,
    until: str | None,
    only: str | None,
    no_cache: bool,
    jobs: int | None,
    keep_going: bool,
    overrides: tuple[str, ...],
    wait: bool,
    yes: bool,
    watch_stdout: bool,
    eliot_info: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run what of TREE is not there yet.

    What is committed and unchanged is reused, so a run that failed or was stopped simply goes on.
    """
    ctx.exit(
        run_tree(
            ctx.obj,
            tree,
            wanted=Wanted(start or "", until or "", only or "", no_cache, parse_overrides(overrides)),
            jobs=jobs or 0,
            keep_going=keep_going,
            wait=wait,
            yes=yes,
            watch_stdout=watch_stdout,
            eliot_info=eliot_info,
            as_json=as_json,
            quiet=quiet,
        )
    )
