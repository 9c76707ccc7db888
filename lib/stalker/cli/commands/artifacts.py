"""`stalker artifacts`: what was published, and whether it is still what it was."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from stalker.app.environment import cache_dir, connect
from stalker.app.trees import read_tree
from stalker.artifacts.inventory import item_document, items_table, take_stock
from stalker.artifacts.store import shelf_of
from stalker.cli.options import WITH, need_tree
from stalker.cli.terminal import say
from stalker.config.syntax.report import Report
from stalker.config.tree.load import tree_files
from stalker.config.workspace import Workspace
from stalker.errors import FilesError, NoEngine, StalkerError
from stalker.io.units import size_text
from stalker.model.program import program
from stalker.plan.artifacts import plan_artifacts
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps
from stalker.plan.image_index import ImageIndex
from stalker.plan.verdicts import make_plan, select

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stalker.app.settings import Settings
    from stalker.artifacts.inventory import Item
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import Tree
    from stalker.plan.plan import ArtifactAction, Standing

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
    items: list[Item] = []
    engine = _engine()
    try:
        for read in [read_tree(settings, tree, {}, with_files)] if tree else _all_trees(settings):
            items += _items_of(read, engine, verify=verify)
    finally:
        if engine is not None:
            engine.close()
    if as_json:
        click.echo(json.dumps([item_document(item) for item in items], indent=2))
    elif items:
        click.echo(items_table(items, time.time(), settings.workspace, with_tree=not tree))
    else:
        click.echo(f"{tree} publishes nothing" if tree else "no tree here publishes anything", err=True)
    ctx.exit(1 if verify and any(item.state == "damaged" for item in items) else 0)


def _engine() -> DockerEngine | None:
    try:
        return connect()
    except NoEngine as error:
        say(f"{error.brief}: whether its steps made it stale is not known")
        return None


def _all_trees(settings: Settings) -> Iterator[Tree]:
    """Read all trees of the workspace; one with problems is reported and left out."""
    for _, file in tree_files(Workspace(settings.workspace, Report())):
        try:
            yield read_tree(settings, file)
        except FilesError as error:
            say(f"{file}: {error.brief}, see `{program()} check {file}`")


def _items_of(tree: Tree, engine: DockerEngine | None, *, verify: bool) -> list[Item]:
    progress = _Reading()
    cache = cache_dir()
    standing = {
        artifact.id: shelf_of(tree, artifact, cache).look(full=verify, on_bytes=progress.add)
        for stalk in tree.stalks
        for artifact in stalk.artifacts
    }
    progress.end()
    actions: Mapping[ArtifactId, ArtifactAction] = {}
    if standing and engine is not None:
        try:
            actions = _planned(tree, engine, standing)
        except StalkerError as error:
            say(f"{tree.file}: {error.brief}: whether its steps made it stale is not known")
    return take_stock(tree, standing, actions, cache)


def _planned(
    tree: Tree, engine: DockerEngine, standing: Mapping[ArtifactId, Standing]
) -> Mapping[ArtifactId, ArtifactAction]:
    """Return what a run would do with the artifacts; no registry is queried."""
    links = link_steps(tree)
    selection = select(links)
    index = ImageIndex(engine.labelled_images(), engine.image)
    bases = find_bases(tree, index, lambda _base, _platform: "")
    return plan_artifacts(make_plan(links, index, bases, selection), selection, standing)


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
