"""Remove the images of a tree that nothing needs.

1 draw up what can be removed, 2 look for stores, 3 confirm, 4 lock the names, 5 draw up again and remove what was
shown, children first, 6 remove the stores.
"""

from __future__ import annotations

import difflib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import PlanError
from stalker.images.prune import carry_out, draw_up, remove_stores, stores_of
from stalker.plan.graph import stalks_below
from stalker.run.lock import engine_key, hold_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.images.prune_plan import Limits, Pruning
    from stalker.model.tree import Stalk, Tree


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What was removed; `refused` is what stays, each with the engine's reason."""

    removed: int = 0
    untagged: int = 0
    freed_bytes: int = 0
    refused: tuple[tuple[str, str], ...] = ()


def prune_images(
    engine: DockerEngine,
    tree: Tree,
    stalks: Sequence[Stalk],
    limits: Limits,
    confirm: Callable[[Pruning, Sequence[str]], bool],
    say: Callable[[str], None],
    *,
    stores: bool = False,
) -> PruneOutcome | None:
    """Remove images of some stalks of a tree; return None when nothing was to be removed, or not confirmed.

    `confirm` is called with what would be removed, always, and returns whether it may be.

    Raises:
        LockHeld: a run is at work on these images.
    """
    pruning = draw_up(engine, stalks, limits, time.time())  # 1
    own_stores = stores_of(tree, stalks, engine, say) if stores else []  # 2
    is_confirmed = confirm(pruning, own_stores)  # 3
    if not is_confirmed or not (pruning.removals or own_stores):
        return None
    owner = f"prune of {tree.file} (process {os.getpid()})"
    names = [stalk.repository for stalk in stalks]
    engine_id = engine_key(engine.address.url, lambda: engine.info().id)
    with hold_names(engine_id, names, owner, wait=False, say=say):  # 4
        now_s = time.time()
        shown = {removal.image.id for removal in pruning.removals}
        pruned = carry_out(engine, draw_up(engine, stalks, limits, now_s), shown, now_s)  # 5
        refused = (*pruned.refused, *remove_stores(engine, own_stores))  # 6
    return PruneOutcome(pruned.removed, pruned.untagged, pruned.freed_bytes, refused)


def stalks_to_prune(tree: Tree, name: str) -> Sequence[Stalk]:
    """Return a stalk and what grows on it, all for an empty name. Raises PlanError, with the nearest name."""
    try:
        return stalks_below(tree, name)
    except KeyError:
        names = [stalk.name for stalk in tree.stalks]
        near = difflib.get_close_matches(name, names, 1)
        details = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
        raise PlanError(f"no stalk named '{name}' in tree {tree.name}", details) from None
