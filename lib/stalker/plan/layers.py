"""How many layers an image will have at least; an engine takes a limited number.

Steps that share a session share a layer. A new container, and so a layer, is needed at least by each
stalk, by a daemonized step and the step after it, and by the sweeping of mount points at a stalk's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.model.tree import StepId
    from stalker.plan.graph import Links

KEPT_FOR_BASE = 5
"""Layers of the limit that are kept for a base, whose own are not known before it is there."""

ASK_FROM = 100
"""No engine takes fewer layers than this, so none is asked about less."""


def count_layers(links: Links) -> dict[StepId, int]:
    """Return for each step the least number of layers that its image has above its base."""
    layers: dict[StepId, int] = {}
    was_daemon: set[StepId] = set()
    for link in links:
        step = link.step
        below = layers[link.parent] if link.parent is not None else 0
        is_new = link.is_first or step.daemonize or link.parent in was_daemon
        has_mount_points = bool(step.mounts) or any(option.name == "tmpfs" for option in step.options)
        layers[link.id] = below + is_new + (link.is_last and has_mount_points)
        if step.daemonize:
            was_daemon.add(link.id)
    return layers


def check_layers(links: Links, layers_max: Callable[[], int]) -> None:
    """Refuse a tree whose images would have more layers than its engine takes; `layers_max` returns how many.

    Raises:
        PlanError: names the first step that is too far from its base.
    """
    counts = count_layers(links)
    if max(counts.values(), default=0) < ASK_FROM:
        return
    limit = layers_max()
    for name, count in counts.items():
        if count > limit - KEPT_FOR_BASE:
            raise PlanError(
                f"{name} would have {count} layers above its base, and the engine takes {limit}",
                "each stalk in a row adds one at least, each daemonized step two",
                "put stalks together, or begin a new root: `export` one and give it as a tarball base",
            )
