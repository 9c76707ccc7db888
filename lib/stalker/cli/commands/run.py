"""`stalker run`: what is not committed yet, and the observers that show it."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.history import check_report_name, write_report
from stalker.app.run import RunRequest, run_tree
from stalker.cli.options import selects_steps
from stalker.cli.terminal import say
from stalker.errors import PlanError
from stalker.io.signals import end_like_ctrl_c
from stalker.journal.observers import open_observers

if TYPE_CHECKING:
    from stalker.app.execute import RunOutcome
    from stalker.app.settings import Settings, StepRequest


@click.command()
@click.argument("tree")
@selects_steps
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Steps at a time; default: the cores here.")
@click.option("--keep-going", "-k", is_flag=True, help="A failed step blocks only what grows on it.")
@click.option("--wait", is_flag=True, help="Wait for another run on the same names.")
@click.option("--yes", "-y", is_flag=True, help="Answer questions with yes.")
@click.option("--report", metavar="FILE", help="Write a report at the end: FILE.html, or FILE.json.")
@click.option("--watch-stdout", is_flag=True, help="Show each step's output.")
@click.option("--eliot-info", is_flag=True, help="Show what is done on stdout.")
@click.option("--json", "as_json", is_flag=True, help="One event a line on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.pass_context
def run(
    ctx: click.Context,
    tree: str,
    steps: StepRequest,
    jobs: int | None,
    keep_going: bool,
    wait: bool,
    yes: bool,
    report: str | None,
    watch_stdout: bool,
    eliot_info: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run what of TREE is not there yet.

    What is committed and unchanged is reused, so a run that failed or was stopped simply goes on.
    """
    request = RunRequest(steps, jobs or 0, keep_going=keep_going, wait=wait, yes=yes)
    ctx.exit(
        run_observed(
            ctx.obj,
            tree,
            request,
            report=report or "",
            watch_stdout=watch_stdout,
            eliot_info=eliot_info,
            as_json=as_json,
            quiet=quiet,
        )
    )


def run_observed(
    settings: Settings,
    tree: str,
    request: RunRequest,
    *,
    report: str = "",
    watch_stdout: bool = False,
    eliot_info: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Run a tree with its observers on the standard streams; return the exit code.

    `report` is the file that the report of the run is written to, also of a failed one; empty for none.
    """
    if report:
        check_report_name(report)
    observe = functools.partial(
        open_observers, watch_stdout=watch_stdout, eliot_info=eliot_info, as_json=as_json, quiet=quiet
    )
    end_like_ctrl_c()
    outcome = run_tree(settings, tree, replace(request, command=tuple(sys.argv)), observe)
    if report:
        _write_report(settings, report, outcome)
    return outcome.finished.exit_code


def _write_report(settings: Settings, report: str, outcome: RunOutcome) -> None:
    """Write the report of a run that has ended; one that cannot be written is the error of a run without one."""
    run = outcome.finished
    try:
        write_report(report, Path(settings.workspace), outcome.log_dir, run.run)
    except PlanError as error:
        if not run.exit_code:
            raise
        say(f"no report: {error.brief}")
