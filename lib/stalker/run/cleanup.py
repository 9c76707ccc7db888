"""What a killed run left behind: its containers and half-made images, found by their labels.

Whether a run lives is a question to the engine, so that runs which do not see each other's processes can
share one: see `owner`. A run has a container running as long as it has a half-made image.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from stalker.engine.run_id import STOPPED, fate, is_left_over
from stalker.errors import EngineError, NoEngine
from stalker.model import labels
from stalker.run.script.mounted_files import run_of_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stalker.engine.interface import Container, Engine
    from stalker.model.images import Image

YOUNG_S = 600.0
"""A container that was created so short a time ago may well be about to start, or in use as it is."""


def sweep(engine: Engine, images: Iterable[Image], say: Callable[[str], None]) -> int:
    """Remove what runs that are over left and say what; return how many things.

    Only what carries the label of such a run is touched, and of containers only ours: one that a user
    started from a step's image has the labels of that image. What may be of a living run, elsewhere, is
    left alone and named. `images` were listed before this call: of a later list, a run that has
    committed its last half-made image by now would look as if it had lost it.
    """
    containers = engine.containers({labels.RUN: "", labels.VERSION: labels.CONTAINER})
    removed = sum(_sweep_container(engine, container, say) for container in containers)
    _say_what_stays(containers, say)
    running = {_run_of(container) for container in containers if container.state not in {*STOPPED, "created"}}
    removed += _sweep_volumes(engine, running, say)
    return removed + _sweep_images(engine, list(images), running, say)


def _sweep_container(engine: Engine, container: Container, say: Callable[[str], None]) -> bool:
    run = _run_of(container)
    if container.state == "removing" or not is_left_over(run, container.state):
        return False
    engine.remove_container(container.id)
    say(f"removed the container {container.name}, left by run {run}, which was killed")
    return True


def _say_what_stays(containers: Iterable[Container], say: Callable[[str], None]) -> None:
    """Name containers that never ran and whose run cannot be looked up from here."""
    for container in containers:
        run = _run_of(container)
        is_old = time.time() - container.created_s > YOUNG_S
        if container.state == "created" and is_old and fate(run) == "unknown":
            say(
                f"left alone: the container {container.name}, which run {run} created and never started; "
                f"whether that run is over cannot be seen from here; docker rm {container.name} removes it"
            )


def _sweep_volumes(engine: Engine, running: set[str], say: Callable[[str], None]) -> int:
    """Remove the volumes with files of steps, of runs that are over."""
    removed = 0
    for volume in engine.volumes({labels.RUN: "", labels.VERSION: labels.CONTAINER}):
        run = run_of_volume(volume)
        known = fate(run)
        if known == "alive" or (known == "unknown" and run in running):
            continue
        try:
            engine.remove_volume(volume)
        except NoEngine:
            raise
        except EngineError:
            continue  # a container uses it
        say(f"removed the volume {volume}, left by run {run}, which was killed")
        removed += 1
    return removed


def _sweep_images(engine: Engine, images: list[Image], running: set[str], say: Callable[[str], None]) -> int:
    """Remove the half-made images of runs that are over; `running` are the runs with running containers."""
    removed: Counter[str] = Counter()
    grown_on = {image.parent_id for image in images}
    for image in images:
        run = image.labels.get(labels.TEMPORARY, "")
        if not run or image.tags or image.id in grown_on:
            continue
        known = fate(run)
        if known == "alive" or (known == "unknown" and run in running):
            continue
        try:
            engine.untag(image.id)
        except NoEngine:
            raise
        except EngineError:
            continue  # the image of a step grows on it
        removed[run] += 1
    for run, number in removed.items():
        images_of = "a temporary image" if number == 1 else f"{number} temporary images"
        say(f"removed {images_of} of run {run}, which is over")
    return removed.total()


def _run_of(container: Container) -> str:
    return container.labels.get(labels.RUN, "")
