"""The base of a card image that a tree publishes: found by name, made when it is missing or stale."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir, connect
from stalker.app.planner import Planner
from stalker.app.run import RunRequest, run_tree
from stalker.app.settings import StepRequest
from stalker.app.trees import read_tree
from stalker.artifacts.store import shelf_of
from stalker.config.locate import find_tree
from stalker.config.syntax.report import Report
from stalker.config.tree.load import tree_files
from stalker.config.workspace import Workspace
from stalker.errors import FilesError, PlanError, StalkerError, StepFailed
from stalker.model.artifacts import Disk
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.app.run import Observe
    from stalker.app.settings import Settings
    from stalker.model.artifacts import Artifact
    from stalker.model.card import TreeArtifact
    from stalker.model.tree import Stalk, Tree


@dataclass(frozen=True, slots=True)
class TreeBase:
    """A disk of a tree. `reason` is why it has to be made, empty when the published one is up to date."""

    config: str
    tree: Tree
    artifact: Artifact
    reason: str

    @property
    def path(self) -> Path | None:
        """Return the published file, raw where there is one; None when nothing is published."""
        directory = shelf_of(self.tree, self.artifact, cache_dir()).target()
        disk = self.artifact.kind
        assert isinstance(disk, Disk)
        if directory is None:
            return None
        stem = disk.file.removesuffix(".img")
        names = (disk.file, *(f"{disk.file}.{kind}" for kind in ("zst", "gz", "xz")), f"{stem}.zip")
        return next((directory / name for name in names if (directory / name).is_file()), None)


def find_tree_base(settings: Settings, named: TreeArtifact, say: Callable[[str], None]) -> TreeBase:
    """Find the disk that the configuration names, and whether it has to be made.

    Raises:
        FilesError: the tree's files have problems.
        PlanError: no such tree, stalk or disk, or several match.
        NoEngine: no engine answers, so it is unknown whether the disk is stale.
    """
    config, tree, stalk = _tree_of(settings, named)
    disks = [
        artifact
        for one in tree.stalks
        for artifact in _disks(one)
        if stalk in {"", artifact.stalk} and named.artifact in {"", artifact.name}
    ]
    if len(disks) != 1:
        known = ", ".join(one.id for one in disks) or ", ".join(
            artifact.id for one in tree.stalks for artifact in _disks(one)
        )
        raise PlanError(
            f"tree {tree.name} has {'several disks' if disks else 'no such disk'} that the base could be",
            f"there are: {known}" if known else "it publishes none",
            "name it: tree: TREE:STALK/ARTIFACT",
        )
    engine = connect()
    try:
        plan = Planner.of(settings, tree, engine, StepRequest(until=(disks[0].stalk,)), say).draw()
    finally:
        engine.close()
    action = plan.artifacts[disks[0].id]
    base = TreeBase(config, tree, disks[0], "" if action.verdict == "REUSE" else action.reason)
    if not base.reason and base.path is None:
        raise StalkerError(f"{disks[0].id} of tree {tree.name} is published without an image")
    return base


def make_tree_base(settings: Settings, base: TreeBase, observe: Observe) -> Path:
    """Return the published file; the tree is run up to it when it is stale.

    Raises:
        StepFailed: the run failed, or the disk did not pass its gates or its boot test.
    """
    if base.reason:
        request = RunRequest(StepRequest(until=(base.artifact.stalk,)), wait=True)
        if run_tree(settings, base.config, request, observe).finished.exit_code:
            raise StepFailed(
                f"the base {base.artifact.id} of tree {base.tree.name} could not be made",
                "the run above says why",
                f"{program()} run {base.config} --until {base.artifact.stalk}",
            )
    path = base.path
    if path is None:
        raise StalkerError(f"{base.artifact.id} of tree {base.tree.name} was not published")
    return path


def _tree_of(settings: Settings, named: TreeArtifact) -> tuple[str, Tree, str]:
    """Return the tree's file, the tree, and the stalk, empty for any: a lone word may be a tree or a stalk."""
    file = find_tree(named.tree, settings.workspace)
    if file:
        return file, read_tree(settings, file), named.stalk
    matches = [
        (config, tree)
        for config, tree in _trees(settings)
        if any(one.name == named.tree and _disks(one) for one in tree.stalks)
    ]
    if len(matches) == 1 and not named.stalk:
        return *matches[0], named.tree
    if not matches:
        raise PlanError(
            f"there is no tree '{named.tree}'",
            f"nor a stalk of that name with a disk, in {settings.workspace}/trees",
            "name it: tree: TREE:STALK/ARTIFACT; --workspace DIR says where trees are",
        )
    raise PlanError(
        f"several trees have a stalk '{named.tree}'",
        "\n".join(f"{tree.name}:{named.tree}" for _, tree in matches),
        "name one of these",
    )


def _trees(settings: Settings) -> Iterator[tuple[str, Tree]]:
    for _, config in tree_files(Workspace(settings.workspace, Report())):
        with contextlib.suppress(FilesError):
            yield config, read_tree(settings, config)


def _disks(stalk: Stalk) -> list[Artifact]:
    return [one for one in stalk.artifacts if isinstance(one.kind, Disk)]
