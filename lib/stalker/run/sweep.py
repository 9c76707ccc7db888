"""What a killed run left behind: its containers and half-made images, found by their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import EngineError, NoEngine
from stalker.model import labels
from stalker.run.owner import is_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stalker.engine.interface import Engine
    from stalker.model.images import Image


def sweep(engine: Engine, images: Iterable[Image], say: Callable[[str], None]) -> int:
    """Remove what dead runs of this host left and say what; return how many things.

    Only what carries the label of a run whose process is gone is touched, and of containers only ours:
    one that a user started from a step's image has the labels of that image.
    """
    removed = 0
    for container in engine.containers({labels.RUN: "", labels.VERSION: labels.CONTAINER}):
        run = container.labels.get(labels.RUN, "")
        if is_dead(run):
            engine.remove_container(container.id)
            say(f"removed the container {container.name}, left by run {run}, which was killed")
            removed += 1
    images = list(images)
    grown_on = {image.parent_id for image in images}
    for image in images:
        if image.id in grown_on:
            continue
        run = image.labels.get(labels.TEMPORARY, "")
        if run and not image.tags and is_dead(run):
            try:
                engine.untag(image.id)
            except NoEngine:
                raise
            except EngineError:
                continue  # the image of a step grows on it
            say(f"removed a half-made image, left by run {run}, which was killed")
            removed += 1
    return removed
