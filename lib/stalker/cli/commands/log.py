"""`stalker log`: what a step wrote, byte for byte, or the runs as a table."""

from __future__ import annotations

import json
import shutil
import sys
import time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stalker.app.committed.refs import find_ref
from stalker.app.environment import connect
from stalker.app.trees import read_tree
from stalker.cli.options import WITH, need_tree
from stalker.config.locate import find_tree
from stalker.engine.run_id import fate
from stalker.errors import FilesError, PlanError
from stalker.io.units import duration_text
from stalker.journal import reader
from stalker.journal.reader import find_old_log, logs_of_step
from stalker.model import labels
from stalker.model.escaping import shown
from stalker.model.program import program
from stalker.plan.graph import split_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.app.settings import Settings
    from stalker.journal.reader import RunSummary
    from stalker.model.tree import Tree

LOG_DIR = "logs"
"""The directory of logs, unless a tree sets another."""

TREES_MAX = 10
"""A bare `stalk:step` is looked up in this many trees, those that ran last."""


@click.command()
@click.argument("ref", required=False)
@click.option("--tree", metavar="TREE", help="The tree that REF belongs to, or whose runs are listed.")
@WITH
@click.option("--json", "as_json", is_flag=True, help="The runs for programs.")
@click.pass_context
def log(
    ctx: click.Context, ref: str | None, tree: str | None, with_files: tuple[str, ...], as_json: bool
) -> None:
    """Print the newest output of the step REF; without REF list the runs.

    REF is `stalk:step`, a full image name, or a fingerprint: the latter two give the output of the
    very run that left that image.
    """
    need_tree(tree, with_files, "--tree TREE")
    read = read_tree(ctx.obj, tree, {}, with_files) if tree else None
    if ref is None:
        runs = list_runs(ctx.obj, read)
        print(json.dumps([as_document(run) for run in runs], indent=2) if as_json else as_table(runs))
        return
    if as_json:
        raise PlanError("log REF --json: a step's output is not JSON", "", "leave out --json, or REF")
    print_file(find_log(ctx.obj, ref, read))


def list_runs(settings: Settings, tree: Tree | None) -> list[RunSummary]:
    """Return the runs of a tree, or all below the default log directory; the newest first."""
    found = reader.list_runs(_log_dir(settings, tree))
    return [run for run in found if tree is None or _is_of(run, tree)]


def _is_of(run: RunSummary, tree: Tree) -> bool:
    """Say whether a run was of a tree: of its name, and not of another file that has the same name."""
    if run.tree != tree.name:
        return False
    ran = find_tree(run.config, tree.workspace)
    return not ran or ran == find_tree(tree.file, tree.workspace)


def find_log(settings: Settings, ref: str, tree: Tree | None) -> Path:
    """Return the log file of a step.

    Raises:
        PlanError: the step is unknown, or has no log. NoEngine: REF is an image, and no engine answers.
    """
    step = ref.removesuffix(".failed")
    stalk, _, name = step.partition(":")
    if not name or "/" in step or ":" in name or name in {"initial", "final"} - _names(tree, stalk):
        return _log_of_image(settings, ref, tree)
    if tree is not None:
        split_name(step, tree)  # refuses a step that is not there, and suggests the nearest
        found = _newest(settings, tree, stalk, name)
        if found is None:
            image = next(f"{one.repository}:{name}" for one in tree.stalks if one.name == stalk)
            raise _no_log(
                step,
                f"nothing of it in {_log_dir(settings, tree)}",
                f"`{program()} log {image}` prints what the step wrote that left its image, under whatever name; "
                f"`{program()} log` lists the runs",
            )
        return found
    known: set[str] = set()
    for ran in _trees_that_ran(settings):
        found = _newest(settings, ran, stalk, name) if name in _names(ran, stalk) else None
        if found is not None:
            return found
        known |= {one.id for of_tree in ran.stalks for one in of_tree.steps}
    near = _near(step, known - {step})
    if near and step not in known:
        raise PlanError(f"no step named '{step}' in the trees that ran here", f"did you mean '{near}'?")
    raise _no_log(step, "no tree that ran here has one of it", "name the tree: --tree TREE")


def _near(step: str, known: set[str]) -> str:
    """Return the known step that was probably meant, empty when none is near."""
    stalk = step.partition(":")[0]
    of_stalk = sorted(one for one in known if one.partition(":")[0] == stalk)
    return next(iter(get_close_matches(step, of_stalk, 1) or get_close_matches(step, sorted(known), 1)), "")


def _names(tree: Tree | None, stalk: str) -> set[str]:
    """Return the names of a stalk's steps."""
    found = [one for one in tree.stalks if one.name == stalk] if tree else []
    return {step.name for one in found for step in one.steps}


def _newest(settings: Settings, tree: Tree, stalk: str, step: str) -> Path | None:
    """Return the log of the newest attempt of a step in the runs of the tree, of those that are there."""
    newest: tuple[float, Path] | None = None
    for run in list_runs(settings, tree):
        # A run that waited for another one starts first and works last; one that ended before is not read.
        if newest and run.duration_s is not None and run.started_at + run.duration_s < newest[0]:
            continue
        found = [(at, Path(tree.workspace, log)) for at, log in logs_of_step(run.path, f"{stalk}:{step}")]
        there = next(((at, path) for at, path in found if path.is_file()), None)
        newest = max(newest, there) if newest and there else newest or there
    return newest[1] if newest else find_old_log(_log_dir(settings, tree), stalk, step, tree.arch_label)


def _trees_that_ran(settings: Settings) -> Iterator[Tree]:
    """Yield the trees of the last runs, each once, the newest first; those that cannot be read are left out."""
    configs = dict.fromkeys(run.config for run in reader.list_runs(_log_dir(settings, None)))
    for config in list(configs)[:TREES_MAX]:
        try:
            yield read_tree(settings, config)
        except FilesError:
            continue


def _log_of_image(settings: Settings, ref: str, tree: Tree | None) -> Path:
    engine = connect()
    try:
        name, image = find_ref(engine, ref, tree)
    finally:
        engine.close()
    written = image.labels.get(labels.LOG)
    if not written:
        raise _no_log(name, "no step left that image")
    path = Path(tree.workspace if tree else settings.workspace, written)
    if not path.is_file():
        raise _no_log(name, f"it was {path}, which is gone")
    return path


def _no_log(ref: str, details: str, resolution: str = "") -> PlanError:
    return PlanError(f"there is no log of {ref}", details, resolution or f"`{program()} log` lists the runs")


def _log_dir(settings: Settings, tree: Tree | None) -> Path:
    return Path(tree.workspace, tree.log_dir) if tree else Path(settings.workspace, LOG_DIR)


def print_file(path: Path) -> None:
    """Copy a file to stdout as it is."""
    sys.stdout.flush()
    try:
        source = path.open("rb")
    except OSError as error:
        raise _no_log(path.name, str(error)) from error
    with source:
        shutil.copyfileobj(source, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def state_of(run: RunSummary) -> str:
    """Return the exit code of a run, or why it has none; `unknown` of a run that cannot be seen from here."""
    if run.exit_code is not None:
        return str(run.exit_code)
    return {"alive": "running", "dead": "killed", "unknown": "unknown"}[fate(run.run)]


def as_document(run: RunSummary) -> dict[str, Any]:
    """Return a run as JSON data; the keys are a contract with programs."""
    return {
        "run": run.run,
        "tree": run.tree,
        "config": run.config,
        "started_at": run.started_at,
        "duration_s": run.duration_s,
        "exit_code": run.exit_code,
        "state": "finished" if run.exit_code is not None else state_of(run),
        "ran": run.ran,
        "reused": run.reused,
        "failed": list(run.failed),
        "blocked": list(run.blocked),
        "unmade": list(run.unmade),
        "brief": run.brief,
        "journal": run.path,
    }


def as_table(runs: list[RunSummary]) -> str:
    """Return the runs as a table, and by name the steps that failed and the artifacts that were not made."""
    if not runs:
        return "no run yet"
    rows: list[tuple[str, ...]] = [
        ("RUN", "TREE", "STARTED", "TOOK", "EXIT", "RAN", "REUSED", "BLOCKED", "FAILED")
    ]
    rows += [
        (
            run.run,
            run.tree,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started_at)),
            "" if run.duration_s is None else duration_text(run.duration_s),
            state_of(run),
            *("" if run.exit_code is None else str(n) for n in (run.ran, run.reused, len(run.blocked))),
            " ".join((*run.failed, *run.unmade)),
        )
        for run in runs
    ]
    return aligned(rows)


def aligned(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Return rows as columns, foreign text escaped; the last column is as long as it is."""
    rows = [tuple(map(shown, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return "\n".join(lines)
