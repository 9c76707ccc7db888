"""Committed states: listed, and their root file systems exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.app.committed.refs import find_ref
from stalker.app.environment import source_date_epoch
from stalker.images.listing import list_rows
from stalker.rootfs.export import export_image, plan_export

if TYPE_CHECKING:
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.images.listing import Row
    from stalker.model.tree import Tree
    from stalker.rootfs.export import Exported


def list_states(engine: DockerEngine, tree: Tree | None) -> list[Row]:
    """Return the committed states of a tree, or of all trees for None, stalk by stalk, oldest first."""
    repositories = {stalk.repository for stalk in tree.stalks} if tree else None
    starts = [engine.image(f"{name}:initial") for name in sorted(repositories or ())]
    bases = [image for image in starts if image is not None]
    return list_rows(engine.labelled_images(), engine, repositories, bases)


def export_state(
    engine: DockerEngine, ref: str, tree: Tree | None, output: str, boot: str = ""
) -> tuple[str, list[Exported]]:
    """Write the root file system of a state as a tar; return the state's full name, and the files.

    What is below `/boot` goes into the tar `boot` if that is not empty.

    Raises:
        PlanError: `ref` means no image or several, or a file cannot be written so.
        StalkerError: a file could not be written, or the image has no `/boot` to split off.
    """
    latest_s = source_date_epoch()
    targets = plan_export(output, boot)
    name, image = find_ref(engine, ref, tree)
    return name, export_image(engine, image, targets, latest_s=latest_s)
