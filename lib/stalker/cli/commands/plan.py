"""`stalker plan`: what would run, what is there, why, and how long it took last time."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from stalker.app.environment import connect
from stalker.app.planner import Planner
from stalker.app.settings import Settings
from stalker.app.trees import read_tree
from stalker.cli.options import selects_steps
from stalker.cli.terminal import say
from stalker.io.units import duration_text
from stalker.journal.observers import on_one_line
from stalker.journal.views.wording import count
from stalker.model.escaping import shown
from stalker.model.tree import StepId

if TYPE_CHECKING:
    from stalker.app.settings import StepRequest
    from stalker.plan.plan import Plan

COLOURS = {"RUN": "33", "REUSE": "32", "BLOCKED": "31", "MAKE": "33", "PROVE": "33"}


@click.command()
@click.argument("tree")
@selects_steps
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Steps at a time, for the estimate.")
@click.option("--diff", "with_diff", is_flag=True, help="Also how scripts and placed files changed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def plan(
    ctx: click.Context, tree: str, steps: StepRequest, jobs: int | None, with_diff: bool, as_json: bool
) -> None:
    """Print the verdict and the reason for each step of TREE; touches nothing."""
    read = read_tree(ctx.obj, tree, steps.overrides, steps.with_files)
    engine = connect()
    planner = Planner.of(ctx.obj, read, engine, steps, say)
    if planner.lock_note:
        say(planner.lock_note)
    drawn = planner.draw()
    engine.close()
    for text in (*read.warnings, *planner.cautions):
        print(f"warning: {on_one_line(text)}", file=sys.stderr)
    estimate = estimate_s(drawn, jobs or os.cpu_count() or 1)
    diffs = _diffs(ctx.obj, planner, drawn) if with_diff else {}
    if as_json:
        document = as_document(drawn, estimate) | ({"diffs": diffs} if with_diff else {})
        print(json.dumps(document, indent=2))
    else:
        print(as_table(drawn, estimate))
        for step, lines in diffs.items():
            print("\n".join(["", shown(step), *(f"    {shown(line)}" for line in lines)]))
    is_blocked = drawn.blocked or any(one.verdict == "BLOCKED" for one in drawn.artifacts.values())
    ctx.exit(2 if is_blocked else 0)


def _diffs(settings: Settings, planner: Planner, drawn: Plan) -> dict[StepId, list[str]]:
    from stalker.app.history import input_diffs, log_dir_of

    assert planner.index is not None
    return input_diffs(drawn, planner.index, log_dir_of(settings, planner.tree))


def estimate_s(drawn: Plan, jobs: int) -> tuple[float, int]:
    """Return the seconds that what runs will take, and how many steps have no known duration.

    The longest path, or all work divided by the jobs, whichever is more; steps that never ran count 0.
    """
    ends: dict[str, float] = {}
    total = 0.0
    unknown = 0
    for action in drawn.actions.values():
        own = 0.0
        if action.verdict == "RUN":
            unknown += action.estimate_s is None
            own = action.estimate_s or 0.0
        total += own
        ends[action.id] = own + max((ends.get(name, 0.0) for name in action.link.inputs), default=0.0)
    return max([total / jobs, *ends.values()]), unknown


def as_document(drawn: Plan, estimate: tuple[float, int]) -> dict[str, Any]:
    """Return a plan as JSON data; the keys are a contract with programs."""
    return {
        "tree": drawn.links.tree.name,
        "bases": [
            {"stalk": base.stalk, "verdict": base.verdict, "reason": base.reason, "image": base.image}
            for base in drawn.bases.values()
        ],
        "steps": [
            {
                "step": action.id,
                "verdict": action.verdict,
                "reason": action.reason,
                "fingerprint": action.fingerprint,
                "image": action.image,
                "name": action.link.image_name,
                "parent": action.link.parent,
                "needs": list(action.link.needs),
                "estimate_s": action.estimate_s,
            }
            for action in drawn.actions.values()
        ],
        "artifacts": [
            {
                "artifact": one.id,
                "verdict": one.verdict,
                "reason": one.reason,
                "fingerprint": one.fingerprint,
                "step": one.step,
            }
            for one in drawn.artifacts.values()
        ],
        "to_run": len(drawn.to_run),
        "to_make": len(drawn.to_make),
        "blocked": len(drawn.blocked),
        "estimate_s": round(estimate[0], 1),
        "without_estimate": estimate[1],
    }


def as_table(drawn: Plan, estimate: tuple[float, int]) -> str:
    """Return a plan as a table that ends with a summary; coloured on a terminal."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 0
    rows: list[tuple[str, str, str, str]] = [
        (f"{base.stalk}:initial", base.verdict, "", base.reason) for base in drawn.bases.values()
    ]
    rows += [
        (
            action.id,
            action.verdict,
            "" if action.estimate_s is None else duration_text(action.estimate_s),
            action.reason,
        )
        for action in drawn.actions.values()
    ]
    rows += [(one.id, one.verdict, "", one.reason) for one in drawn.artifacts.values()]
    rows = [(shown(name), verdict, took, shown(reason)) for name, verdict, took, reason in rows]
    head = ("STEP", "VERDICT", "LAST", "REASON")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    lines = []
    for number, row in enumerate((head, *rows)):
        cells = [row[column].ljust(widths[column]) for column in range(3)]
        room = width - sum(widths) - 6
        reason = row[3]
        if width and room > 12 and len(reason) > room:
            reason = reason[: room - 1] + "…"
        if coloured and number:
            cells[1] = f"\x1b[{COLOURS[row[1]]}m{cells[1]}\x1b[0m"
        lines.append("  ".join([*cells, reason]).rstrip())
    return "\n".join([*lines, "", summary(drawn, estimate)])


def summary(drawn: Plan, estimate: tuple[float, int]) -> str:
    """Return the last line of a plan: what will run, what is reused, how long it took last time."""
    run, blocked = len(drawn.to_run), len(drawn.blocked)
    reused = len(drawn.actions) - run - blocked
    to_make = len(drawn.to_make)
    if not run and not blocked and not to_make:
        kept = f" and {count(len(drawn.artifacts), 'artifact')}" if drawn.artifacts else ""
        return (
            f"nothing to do: all {reused} steps{kept} are there"
            if reused != 1
            else f"nothing to do: the step{kept} {'are' if kept else 'is'} there"
        )
    parts = [f"{run} to run", f"{reused} reused"]
    if to_make:
        parts.append(f"{count(to_make, 'artifact')} to make or prove")
    if blocked:
        parts.append(f"{blocked} blocked")
    text = ", ".join(parts)
    seconds, unknown = estimate
    if run and unknown == run:
        return f"{text}; how long it takes is not known yet"
    if run:
        more = f", and {unknown} step{'s' if unknown != 1 else ''} that never ran" if unknown else ""
        text += f"; about {duration_text(seconds)} by earlier runs{more}"
    return text
