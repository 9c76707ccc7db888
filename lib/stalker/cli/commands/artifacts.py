"""`stalker artifacts`: what was published, and whether it is still what it was."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker.app.inventory import list_artifacts
from stalker.app.trees import read_tree
from stalker.artifacts.inventory import item_document, items_table
from stalker.cli.options import WITH, need_tree
from stalker.cli.terminal import say
from stalker.io.units import size_text

if TYPE_CHECKING:
    from stalker.app.settings import Settings

BAR_EVERY_S = 0.5


@click.command()
@click.argument("tree", required=False)
@click.option(
    "--verify", is_flag=True, help="Read all files, and compare their checksums; exit 1 if one is wrong."
)
@WITH
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def artifacts(
    ctx: click.Context, tree: str | None, verify: bool, with_files: tuple[str, ...], as_json: bool
) -> None:
    """List the artifacts of TREE, or of all trees: state, size, age, and path.

    made: published and as it would be made now. stale: published, and made of inputs that changed.
    damaged: a file is gone or changed. unproven: made, but a gate or the boot test refused it.
    missing: not made yet.
    """
    settings: Settings = ctx.obj
    need_tree(tree, with_files, "artifacts TREE")
    progress = _Reading()
    items = list_artifacts(
        settings,
        read_tree(settings, tree, {}, with_files) if tree else None,
        say,
        progress.add,
        verify=verify,
    )
    progress.end()
    if as_json:
        click.echo(json.dumps([item_document(item) for item in items], indent=2))
    elif items:
        click.echo(items_table(items, time.time(), settings.workspace, with_tree=not tree))
    else:
        click.echo(f"{tree} publishes nothing" if tree else "no tree here publishes anything", err=True)
    ctx.exit(1 if verify and any(item.state == "damaged" for item in items) else 0)


class _Reading:
    """Shows on a terminal how much has been read, when that takes longer than a moment."""

    def __init__(self) -> None:
        self._began_s = self._shown_s = time.monotonic()
        self._done_bytes = 0
        self._is_shown = False

    def add(self, count: int) -> None:
        """Count what was read."""
        self._done_bytes += count
        now_s = time.monotonic()
        if now_s - self._shown_s < BAR_EVERY_S or not sys.stderr.isatty():
            return
        self._shown_s, self._is_shown = now_s, True
        rate = int(self._done_bytes / (now_s - self._began_s))
        text = f"reading: {size_text(self._done_bytes)}, {size_text(rate)}/s"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase the line."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
