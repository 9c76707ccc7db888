"""The artifacts of trees: what was published, and whether it is still what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir, connect
from stalker.app.trees import read_tree
from stalker.artifacts.inventory import take_stock
from stalker.artifacts.store import shelf_of
from stalker.config.syntax.report import Report
from stalker.config.tree.load import tree_files
from stalker.config.workspace import Workspace
from stalker.errors import FilesError, NoEngine, StalkerError
from stalker.model.program import program
from stalker.plan.artifacts import plan_artifacts
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps
from stalker.plan.image_index import ImageIndex
from stalker.plan.verdicts import make_plan, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stalker.app.settings import Settings
    from stalker.artifacts.inventory import Item
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import Tree
    from stalker.plan.plan import ArtifactAction, Standing


def list_artifacts(
    settings: Settings,
    tree: Tree | None,
    say: Callable[[str], None],
    on_bytes: Callable[[int], None] = lambda _count: None,
    *,
    verify: bool = False,
) -> list[Item]:
    """Return the artifacts of a tree, or of all trees of the workspace for None.

    `say` gets a line on what cannot be known. With `verify` all files are read, and `on_bytes` is called with
    the size of each piece.
    """
    items: list[Item] = []
    engine = _engine(say)
    try:
        for read in [tree] if tree else _all_trees(settings, say):
            items += _items_of(read, engine, say, on_bytes, verify=verify)
    finally:
        if engine is not None:
            engine.close()
    return items


def _engine(say: Callable[[str], None]) -> DockerEngine | None:
    try:
        return connect()
    except NoEngine as error:
        say(f"{error.brief}: whether its steps made it stale is not known")
        return None


def _all_trees(settings: Settings, say: Callable[[str], None]) -> Iterator[Tree]:
    """Read all trees of the workspace; one with problems is reported and left out."""
    for _, file in tree_files(Workspace(settings.workspace, Report())):
        try:
            yield read_tree(settings, file)
        except FilesError as error:
            say(f"{file}: {error.brief}, see `{program()} check {file}`")


def _items_of(
    tree: Tree,
    engine: DockerEngine | None,
    say: Callable[[str], None],
    on_bytes: Callable[[int], None],
    *,
    verify: bool,
) -> list[Item]:
    cache = cache_dir()
    standing = {
        artifact.id: shelf_of(tree, artifact, cache).look(full=verify, on_bytes=on_bytes)
        for stalk in tree.stalks
        for artifact in stalk.artifacts
    }
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
