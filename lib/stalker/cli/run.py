"""`stalker run`: read, plan, execute."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker import __version__
from stalker.cli.execute import Terms, plan_and_execute
from stalker.cli.selecting import selects_steps
from stalker.cli.settings import Planner, Settings, Wanted, connect, end_as_by_ctrl_c, read_tree
from stalker.cli.told import Told, tell_files
from stalker.errors import FilesError, Interrupted, StalkerError
from stalker.model import events

if TYPE_CHECKING:
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
    end_as_by_ctrl_c()
    try:
        told.emit(
            events.RunStarted(
                began_s, run, tree.name, tree.file, settings.workspace, tuple(sys.argv), __version__
            )
        )
        tell_files(tree, told.emit)
        terms = Terms(run, told.emit, secrets, jobs or os.cpu_count() or 1, keep_going=keep_going, wait=wait)
        plan, result = plan_and_execute(planner, terms)
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


@click.command()
@click.argument("tree")
@selects_steps
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Steps at a time; default: the cores here.")
@click.option("--keep-going", "-k", is_flag=True, help="A failed step blocks only what grows on it.")
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
    wanted: Wanted,
    jobs: int | None,
    keep_going: bool,
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
            wanted=wanted,
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
