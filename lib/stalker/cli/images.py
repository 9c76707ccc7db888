"""`stalker images`, `diff`, `export`, `prune`: what becomes of committed states."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker.cli.settings import connect, read_names, read_tree, source_date_epoch
from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.cli.settings import Settings
    from stalker.engine.docker import DockerEngine
    from stalker.image.pruning import Limits
    from stalker.model.tree import Stalk, Tree


@click.command()
@click.argument("tree", required=False)
@click.option("--all", "with_old", is_flag=True, help="Old builds too, which lost their name to a newer one.")
@click.option("--json", "as_json", is_flag=True, help="For programs; always all.")
@click.pass_obj
def images(settings: Settings, tree: str | None, with_old: bool, as_json: bool) -> None:
    """List committed states, of TREE or of all trees: size, age, fingerprint, step, run."""
    from stalker.image.listing import list_rows
    from stalker.image.texts import row_document, rows_table

    read = read_names(settings, tree) if tree else None
    with _engine() as engine:
        wanted = {stalk.repository for stalk in read.stalks} if read else None
        starts = [engine.image(f"{name}:initial") for name in sorted(wanted or ())]
        there = [image for image in starts if image is not None]
        rows = list_rows(engine.labelled_images(), engine, wanted, there)
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
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` a REF is.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def diff(settings: Settings, old: str, new: str, tree: str | None, as_json: bool) -> None:
    """List files added (A), changed (C), removed (D) between two states, with sizes."""
    from stalker.cli.refs import find_ref
    from stalker.image.changes import compare_images
    from stalker.image.texts import change_document, changes_table

    read = read_tree(settings, tree) if tree else None
    with _engine() as engine:
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
    from stalker.cli.refs import find_ref
    from stalker.image.export import export_image, plan_export
    from stalker.model.units import size_text

    latest_s = source_date_epoch()
    targets = plan_export(output, boot or "")
    read = read_tree(settings, tree) if tree else None
    with _engine() as engine:
        name, image = find_ref(engine, ref, read)
        exported = export_image(engine, image, targets, latest_s=latest_s)
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
    from stalker.image.below import stalks_below
    from stalker.image.pruning import Limits

    settings: Settings = ctx.obj
    limits = Limits(_duration(older_than), keep, failed_only=failed, bases=bases)
    if not (dry_run or yes or settings.is_interactive):
        raise PlanError(
            "prune asks before it removes, and nobody is here to answer",
            "",
            "give --yes, or --dry-run to see what would go",
        )
    # Which stores other stalks mount is known only when all stalk files can be read.
    read = read_tree(settings, tree) if stores else read_names(settings, tree)
    try:
        stalks = stalks_below(read, stalk or "")
    except KeyError:
        raise _no_stalk(read, stalk or "") from None
    ctx.exit(_prune(read, stalks, limits, stores=stores, dry_run=dry_run, yes=yes))


def _prune(
    tree: Tree, stalks: Sequence[Stalk], limits: Limits, *, stores: bool, dry_run: bool, yes: bool
) -> int:
    from stalker.image.prune import carry_out, draw_up, remove_stores, stores_of
    from stalker.image.texts import counts_text, prune_report
    from stalker.model.units import size_text
    from stalker.run.lock import engine_key, hold_names

    with _engine() as engine:
        pruning = draw_up(engine, stalks, limits, time.time())
        own_stores = stores_of(tree, stalks, engine, _say) if stores else []
        click.echo(prune_report(pruning, own_stores, time.time()))
        if dry_run or not (pruning.removals or own_stores):
            return 0
        if not (yes or click.confirm("Remove them?", err=True)):
            return 0
        who = f"prune of {tree.file} (process {os.getpid()})"
        names = [stalk.repository for stalk in stalks]
        with hold_names(
            engine_key(engine.address.url, lambda: engine.info().id), names, who, wait=False, say=_say
        ):
            now_s = time.time()
            shown = {removal.image.id for removal in pruning.removals}
            pruned = carry_out(engine, draw_up(engine, stalks, limits, now_s), shown, now_s)
            refused = [*pruned.refused, *remove_stores(engine, own_stores)]
    for what, why in refused:
        _say(f"{what} stays: {why}")
    _say(
        f"removed {counts_text(pruned.removed, pruned.untagged)}, about {size_text(pruned.freed_bytes)} freed"
    )
    return 1 if refused else 0


def _duration(text: str | None) -> float | None:
    from stalker.model.units import duration_s

    if text is None:
        return None
    try:
        return duration_s(text)
    except ValueError:
        raise PlanError(f"--older-than {text}: no duration", "", "write it as 90m, 12h, 7d or 2w") from None


def _no_stalk(tree: Tree, name: str) -> PlanError:
    import difflib

    names = [stalk.name for stalk in tree.stalks]
    near = difflib.get_close_matches(name, names, 1)
    details = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
    return PlanError(f"no stalk named '{name}' in tree {tree.name}", details)


@contextlib.contextmanager
def _engine() -> Iterator[DockerEngine]:
    """Reach the engine; whoever ends us politely meanwhile gets the same clean stop as with Ctrl-C."""
    engine = connect()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:  # under nohup it stays ignored
            signal.signal(number, signal.default_int_handler)
    try:
        yield engine
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        engine.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
