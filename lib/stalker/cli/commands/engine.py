"""`stalker engine up` and `stalker doctor`: an engine that answers, and what is wrong on this machine."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from stalker.app.environment import connect
from stalker.app.platform import enable_platform
from stalker.app.trees import read_tree
from stalker.cli.lazy import Group
from stalker.cli.terminal import say
from stalker.config.syntax.report import Report
from stalker.config.tree.load import tree_files
from stalker.config.workspace import Workspace
from stalker.engine.run_id import is_left_over
from stalker.errors import FilesError, NoEngine, PlanError
from stalker.host.doctor import Finding, diagnose
from stalker.host.start_engine import engine_up
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.app.settings import Settings
    from stalker.model.tree import Tree

SYSTEMS = {"linux", "windows", "darwin"}
COLOURS = {"ok": "32", "warning": "33", "wrong": "31"}


@click.group(cls=Group)
def engine() -> None:
    """Start or install an engine."""


@engine.command()
@click.option("--yes", "-y", is_flag=True, help="Install one without asking.")
@click.option(
    "--platform", metavar="OS/ARCH", default="", help="What containers are to run as: linux/arm/v7."
)
@click.pass_context
def up(ctx: click.Context, yes: bool, platform: str) -> None:
    """Use the engine that answers, else start the one installed, else install it after a yes.

    With --platform it also sees to an emulator when the engine does not run that platform by itself, says
    what it changed and how to undo it. Prints the engine's address.
    """
    if platform:
        check_platform(platform)
    found = engine_up(yes=yes, ask=ctx.obj.ask, say=say, environ=os.environ)
    if platform:
        enable_platform(ctx.obj, platform, say, yes=yes)
    print(found.address.url)


def check_platform(platform: str) -> None:
    """Raise PlanError for a platform whose containers no engine here can run."""
    system = platform.lower().partition("/")[0]
    if system in SYSTEMS and system != "linux":
        raise PlanError(f"--platform {platform}: only containers of linux are run here")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what is wrong with engine, storage, disk, clock, workspace, and the command that repairs it.

    Exit code 0 when nothing is wrong, 3 when no engine answers, else 1.
    """
    trees, findings = read_trees(ctx.obj)
    try:
        reached = connect()
    except NoEngine:
        reached = None
    found = diagnose(reached, ctx.obj.workspace, environ=os.environ, trees=trees, is_left_over=is_left_over)
    if reached is not None:
        reached.close()
    findings = [*found, *findings]
    if as_json:
        print(json.dumps([as_document(finding) for finding in findings], indent=2))
    else:
        print(as_text(findings, coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    ctx.exit(exit_code(findings, has_engine=reached is not None))


def read_trees(settings: Settings) -> tuple[list[Tree], list[Finding]]:
    """Return the trees of the workspace that can be read, and a finding for each that cannot."""
    trees: list[Tree] = []
    findings: list[Finding] = []
    for name, file in tree_files(Workspace(settings.workspace, Report())):
        path = os.path.join(settings.workspace, file)  # noqa: PTH118
        try:
            trees.append(read_tree(settings, path))
        except FilesError as error:
            findings.append(Finding(f"tree {name}", "warning", error.brief, f"{program()} check {file}"))
    return trees, findings


def exit_code(findings: Sequence[Finding], *, has_engine: bool) -> int:
    """Return 0 when nothing is wrong, 3 when no engine answers, else 1."""
    if not has_engine:
        return 3
    return int(any(finding.state == "wrong" for finding in findings))


def as_document(finding: Finding) -> dict[str, str]:
    """Return a finding as JSON data; the keys are a contract with programs."""
    return {
        "name": finding.name,
        "state": finding.state,
        "what": finding.what,
        "remedy": finding.remedy,
    }


def as_text(findings: Sequence[Finding], *, coloured: bool) -> str:
    """Return one line a finding, and below each problem the command that repairs it."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        state = finding.state.ljust(len("warning"))
        if coloured:
            state = f"\x1b[{COLOURS[finding.state]}m{state}\x1b[0m"
        first, *more = finding.what.splitlines() or [""]
        indent = " " * (len("warning") + width + 4)
        lines.append(f"{state}  {finding.name.ljust(width)}  {first}".rstrip())
        lines += [f"{indent}{line}" for line in more]
        if finding.remedy and finding.state != "ok":
            lines += [f"{indent}{line}" for line in finding.remedy.splitlines()]
    return "\n".join(lines)
