"""How many layers an image will have at least: an engine takes about 125.

Steps that share a session share a layer. A new container, and so a layer, is needed at least by each
stalk, by a daemonized step and the step after it, and by the sweeping of mount points at a stalk's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import PlanError

if TYPE_CHECKING:
    from stalker.model.tree import StepId
    from stalker.plan.graph import Links

LAYERS_MAX = 120
"""Docker's own limit is 125 or 127, by storage driver; a few are kept for the base."""


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


def check_layers(links: Links) -> None:
    """Refuse a tree whose images would have more layers than an engine takes.

    Raises:
        PlanError: names the first step that is too far from its base.
    """
    for name, count in count_layers(links).items():
        if count > LAYERS_MAX:
            raise PlanError(
                f"{name} would have {count} layers above its base, and an engine takes about 125",
                "each stalk in a row adds one at least, each daemonized step two",
                "put stalks together, or begin a new root: `export` one and give it as a tarball base",
            )
