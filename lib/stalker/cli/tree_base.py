"""A base that a tree publishes: found by its name, made when it is not there or stale."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.cli.settings import Planner, Settings, Wanted, cache_dir, connect, read_tree
from stalker.config.locate import find_tree
from stalker.config.report import Report
from stalker.config.trees import tree_files
from stalker.config.workspace import Workspace
from stalker.errors import FilesError, PlanError, StalkerError, StepFailed
from stalker.model.artifacts import Disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.model.artifacts import Artifact
    from stalker.model.creation import TreeArtifact
    from stalker.model.tree import Stalk, Tree


@dataclass(frozen=True, slots=True)
class TreeBase:
    """A disk of a tree. `reason` says why it has to be made, empty when it stands there as it is."""

    config: str
    tree: Tree
    artifact: Artifact
    reason: str

    @property
    def path(self) -> Path | None:
        """Return the published file, raw where there is one; None when nothing is published."""
        from stalker.image.shelf import shelf_of

        folder = shelf_of(self.tree, self.artifact, cache_dir()).target()
        disk = self.artifact.kind
        assert isinstance(disk, Disk)
        if folder is None:
            return None
        stem = disk.file.removesuffix(".img")
        names = (disk.file, *(f"{disk.file}.{packed}" for packed in ("zst", "gz", "xz")), f"{stem}.zip")
        return next((folder / name for name in names if (folder / name).is_file()), None)


def find_tree_base(settings: Settings, wanted: TreeArtifact) -> TreeBase:
    """Find the disk that is meant, and whether it has to be made.

    Raises:
        FilesError: the tree's files have problems.
        PlanError: no such tree, stalk or disk, or several are meant.
        NoEngine: no engine answers: nobody knows then whether it is stale.
    """
    config, tree, stalk = _tree_of(settings, wanted)
    disks = [
        artifact
        for one in tree.stalks
        for artifact in _disks(one)
        if stalk in {"", artifact.stalk} and wanted.artifact in {"", artifact.name}
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
        plan = Planner.of(settings, tree, engine, Wanted(until=disks[0].stalk), yes=False).draw()
    finally:
        engine.close()
    action = plan.artifacts[disks[0].id]
    base = TreeBase(config, tree, disks[0], "" if action.verdict == "REUSE" else action.reason)
    if not base.reason and base.path is None:
        raise StalkerError(f"{disks[0].id} of tree {tree.name} is published without an image")
    return base


def make_tree_base(settings: Settings, base: TreeBase) -> Path:
    """Return the published file; the tree is run up to it when it is stale.

    Raises:
        StepFailed: the run failed, or the disk did not pass its gates or its boot test.
    """
    from stalker.cli.run import run_tree

    if base.reason:
        code = run_tree(settings, base.config, wanted=Wanted(until=base.artifact.stalk), wait=True)
        if code:
            raise StepFailed(
                f"the base {base.artifact.id} of tree {base.tree.name} could not be made",
                "the run above says why",
                f"./stalker run {base.config} --until {base.artifact.stalk}",
            )
    path = base.path
    if path is None:
        raise StalkerError(f"{base.artifact.id} of tree {base.tree.name} was not published")
    return path


def _tree_of(settings: Settings, wanted: TreeArtifact) -> tuple[str, Tree, str]:
    """Return the tree's file, the tree, and the stalk, empty for any: a lone word may be a tree or a stalk."""
    found = find_tree(wanted.tree, settings.workspace)
    if found:
        return found, read_tree(settings, found), wanted.stalk
    having = [
        (config, tree)
        for config, tree in _trees(settings)
        if any(one.name == wanted.tree and _disks(one) for one in tree.stalks)
    ]
    if len(having) == 1 and not wanted.stalk:
        return *having[0], wanted.tree
    if not having:
        raise PlanError(
            f"there is no tree '{wanted.tree}'",
            f"nor a stalk of that name with a disk, in {settings.workspace}/trees",
            "name it: tree: TREE:STALK/ARTIFACT; --workspace DIR says where trees are",
        )
    raise PlanError(
        f"several trees have a stalk '{wanted.tree}'",
        "\n".join(f"{tree.name}:{wanted.tree}" for _, tree in having),
        "name one of these",
    )


def _trees(settings: Settings) -> Iterator[tuple[str, Tree]]:
    for _, config in tree_files(Workspace(settings.workspace, Report())):
        with contextlib.suppress(FilesError):
            yield config, read_tree(settings, config)


def _disks(stalk: Stalk) -> list[Artifact]:
    return [one for one in stalk.artifacts if isinstance(one.kind, Disk)]
