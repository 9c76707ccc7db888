"""`stalker lock` and `stalker upgrade`: what moving inputs of a tree are now, written beside it for later runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from stalker.app.lock import (
    changes_of,
    forgotten,
    lock_path,
    read_lock_of,
    resolve_lock,
    write_lock,
)
from stalker.app.trees import read_tree
from stalker.cli.options import SET, WITH, parse_overrides
from stalker.cli.terminal import say
from stalker.config.tree.lock_file import Lock
from stalker.errors import PlanError
from stalker.model.escaping import shown
from stalker.model.program import program

if TYPE_CHECKING:
    from stalker.app.lock import Change


@click.command()
@click.argument("tree")
@SET
@WITH
@click.pass_context
def lock(ctx: click.Context, tree: str, overrides: tuple[str, ...], with_files: tuple[str, ...]) -> None:
    """Write what the moving inputs of TREE are now into its lock file; what is locked already stays."""
    read = read_tree(ctx.obj, tree, parse_overrides(overrides), with_files)
    known = read_lock_of(read)
    new = resolve_lock(read, known or Lock(), {}, os.environ, say)
    changes = changes_of(known or Lock(), new)
    if not changes:
        click.echo("nothing to lock: no input moves" if new == Lock() else "all inputs are locked already")
        return
    _show(changes)
    write_lock(read, new)
    click.echo(f"written: {shown(str(lock_path(read)))}")


@click.command()
@click.argument("tree")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--yes", "-y", is_flag=True, help="Write without a question.")
@SET
@WITH
@click.pass_context
def upgrade(
    ctx: click.Context,
    tree: str,
    names: tuple[str, ...],
    yes: bool,
    overrides: tuple[str, ...],
    with_files: tuple[str, ...],
) -> None:
    """Look again at the inputs in the lock file of TREE, show old and new, and write after a yes.

    A NAME is the URL of an input, or the last part of it.
    """
    read = read_tree(ctx.obj, tree, parse_overrides(overrides), with_files)
    known = read_lock_of(read)
    if known is None:
        raise PlanError(f"{tree} has no lock file", "", f"write one: {program()} lock {tree}")
    new = resolve_lock(read, forgotten(known, names), {}, os.environ, say)
    changes = changes_of(known, new)
    if not changes:
        click.echo("nothing is newer than the lock file")
        return
    _show(changes)
    if not yes:
        if ctx.obj.ask is None:
            raise PlanError(
                "nothing was written: a yes is needed, and there is no terminal", "", "give --yes"
            )
        if not ctx.obj.ask(f"Write {shown(str(lock_path(read)))}?"):
            click.echo("nothing was written")
            return
    write_lock(read, new)
    click.echo(f"written: {shown(str(lock_path(read)))}; `{program()} plan {tree}` shows what will run")


def _show(changes: list[Change]) -> None:
    for one in changes:
        click.echo(f"{shown(one.name)}: {one.old or 'not locked'} -> {one.new or 'no longer in the tree'}")
