"""`stalker images`, `diff`, `export`, `prune`: what becomes of committed states."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker.app.committed.refs import find_ref
from stalker.app.committed.states import export_state, list_states
from stalker.app.environment import connect
from stalker.app.history import find_run, log_dir_of
from stalker.app.prune import prune_images, stalks_to_prune
from stalker.app.trees import read_names, read_tree
from stalker.cli import terminal
from stalker.cli.commands.trace.diff_runs import tell_runs
from stalker.cli.options import WITH, need_tree
from stalker.errors import PlanError
from stalker.images.prune_plan import Limits
from stalker.images.tables import (
    change_document,
    changes_table,
    counts_text,
    prune_report,
    row_document,
    rows_table,
)
from stalker.io.signals import ended_like_ctrl_c
from stalker.io.units import duration_s, size_text
from stalker.rootfs.diff import compare_images
from stalker.rootfs.export import plan_export

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.app.settings import Settings
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.images.prune_plan import Pruning


@click.command()
@click.argument("tree", required=False)
@click.option("--all", "with_old", is_flag=True, help="Old builds too, which lost their name to a newer one.")
@WITH
@click.option("--json", "as_json", is_flag=True, help="For programs; always all.")
@click.pass_obj
def images(
    settings: Settings, tree: str | None, with_old: bool, with_files: tuple[str, ...], as_json: bool
) -> None:
    """List committed states, of TREE or of all trees: size, age, fingerprint, step, run."""
    need_tree(tree, with_files, "images TREE")
    read = None
    if tree:
        read = (
            read_tree(settings, tree, {}, with_files)
            if with_files
            else read_names(settings, tree, terminal.say)
        )
    with _engine() as engine:
        rows = list_states(engine, read)
    if as_json:
        click.echo(json.dumps([row_document(row) for row in rows], indent=2))
    elif rows:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(rows_table(rows, time.time(), with_old=with_old, tree=tree or "", columns=columns))
    else:
        click.echo(f"nothing of {tree} is committed here" if tree else "nothing is committed here", err=True)


@click.command()
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF")
@click.option("--tree", metavar="TREE", help="The tree that a REF is of, or whose LOG_DIR has the runs.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def diff(settings: Settings, old: str, new: str, tree: str | None, as_json: bool) -> None:
    """List files added (A), changed (C), removed (D) between two states, with sizes.

    Of two runs, by their ids or beginnings of them: which inputs changed, and what followed.
    """
    read = read_tree(settings, tree) if tree else None
    log_dir = log_dir_of(settings, read)
    runs = [find_run(log_dir, text) for text in (old, new)]
    with _engine() as engine:
        if all(runs):
            click.echo(tell_runs(engine, log_dir, runs[0], runs[1], as_json=as_json))
            return
        before, after = find_ref(engine, old, read)[1], find_ref(engine, new, read)[1]
        changes = compare_images(engine, before.id, after.id)
    if as_json:
        click.echo(json.dumps([change_document(change) for change in changes], indent=2))
        return
    if changes:
        click.echo(changes_table(changes))


@click.command()
@click.argument("ref", metavar="REF")
@click.option("-o", "--output", required=True, metavar="FILE", help=".tar, .tar.gz, .tar.zst, .tar.xz, or -")
@click.option("--boot", metavar="FILE", help="What is below /boot goes into this tar instead.")
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` REF is.")
@click.pass_obj
def export(settings: Settings, ref: str, output: str, boot: str | None, tree: str | None) -> None:
    """Write the root file system of REF as a tar, packed as FILE's ending says.

    Nothing of Docker's is in it. No time is later than SOURCE_DATE_EPOCH, if that is set.
    """
    plan_export(output, boot or "")  # a mistake there needs no engine
    read = read_tree(settings, tree) if tree else None
    with _engine() as engine:
        name, exported = export_state(engine, ref, read, output, boot or "")
    for file in exported:
        if file.size_bytes:
            click.echo(f"{file.path}: {size_text(file.size_bytes)} of {name}", err=True)


@click.command()
@click.argument("tree")
@click.argument("stalk", required=False)
@click.option("--older-than", metavar="TIME", help="Only what is older: 12h, 7d, 2w.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Not the newest N of each step.")
@click.option("--failed", is_flag=True, help="Only states of failed steps.")
@click.option("--stores", is_flag=True, help="The stalks' stores (volumes) too.")
@click.option("--bases", is_flag=True, help="Bases that stalker made too.")
@click.option("--dry-run", is_flag=True, help="Only say what would go, and how much room that makes.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def prune(
    ctx: click.Context,
    tree: str,
    stalk: str | None,
    older_than: str | None,
    keep: int | None,
    failed: bool,
    stores: bool,
    bases: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove the images of TREE, or of STALK and what grows on it, children first.

    Only what stalker made is removed; what others named or derived stays.
    """
    settings: Settings = ctx.obj
    limits = Limits(_duration(older_than), keep, failed_only=failed, bases=bases)
    if not (dry_run or yes or settings.is_interactive):
        raise PlanError(
            "prune asks before it removes, and no user can answer here",
            "",
            "give --yes, or --dry-run to see what would go",
        )
    # Which stores other stalks mount is known only when all stalk files can be read.
    read = read_tree(settings, tree) if stores else read_names(settings, tree, terminal.say)
    stalks = stalks_to_prune(read, stalk or "")

    def confirm(pruning: Pruning, own_stores: Sequence[str]) -> bool:
        click.echo(prune_report(pruning, own_stores, time.time()))
        if dry_run or not (pruning.removals or own_stores):
            return False
        return yes or click.confirm("Remove them?", err=True)

    with _engine() as engine:
        outcome = prune_images(engine, read, stalks, limits, confirm, _say, stores=stores)
    if outcome is None:
        return
    for what, why in outcome.refused:
        _say(f"{what} stays: {why}")
    removed = counts_text(outcome.removed, outcome.untagged)
    _say(f"removed {removed}, about {size_text(outcome.freed_bytes)} freed")
    ctx.exit(1 if outcome.refused else 0)


def _duration(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return duration_s(text, needs_unit=True)
    except ValueError as error:
        raise PlanError(f"--older-than: {error}") from None


@contextlib.contextmanager
def _engine() -> Iterator[DockerEngine]:
    """Connect to the engine; signals that end the program stop it as Ctrl-C does."""
    with contextlib.closing(connect()) as engine, ended_like_ctrl_c():
        yield engine


def _say(text: str) -> None:
    print(text, file=sys.stderr)
