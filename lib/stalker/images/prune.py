"""Images and stores taken away as planned, nothing else."""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.engine.interface import ContainerSpec
from stalker.engine.run_id import new_run_id
from stalker.errors import EngineError, NoEngine, NotThere
from stalker.images.prune_plan import plan_prune
from stalker.model import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from stalker.engine.interface import Engine
    from stalker.images.prune_plan import Limits, Pruning, Removal
    from stalker.model.tree import Stalk, Tree


AT_ONCE = 8
"""Removals at a time."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of a prune: images removed, images that only lost names, bytes freed as far as known.

    `refused` is what the engine did not let go, with why.
    """

    removed: int
    untagged: int
    freed_bytes: int
    refused: tuple[tuple[str, str], ...]


def draw_up(engine: Engine, stalks: Sequence[Stalk], limits: Limits, now_s: float) -> Pruning:
    """Ask the engine what is there and plan a prune of some stalks. Raises EngineError."""
    used = {container.image: container.name for container in engine.containers({})}
    return plan_prune(stalks, engine.labelled_images(), engine, used, limits, now_s)


def carry_out(engine: Engine, pruning: Pruning, shown: Collection[str], now_s: float) -> Pruned:
    """Remove what is planned and was shown (by image id), children first; nothing else.

    A name that points elsewhere by now is left alone. What the engine refuses is reported and passed over,
    together with what it grows on.

    Raises:
        NoEngine: the engine went away; what was removed is gone.
    """
    with _holding(engine, pruning.held, now_s), ThreadPoolExecutor(AT_ONCE, "stalker-prune") as pool:
        done = _Removing(engine, pool)
        for removal in pruning.removals:
            if removal.image.id in shown:
                done.begin(removal)
        done.finish()
    return Pruned(done.removed, done.untagged, done.freed_bytes, tuple(done.refused.items()))


@dataclass(slots=True)
class _Removing:
    """Removals under way: several at once, but never an image next to one whose layers are on top of its own.

    An engine may collect its garbage at the end of each removal, and does that once for those that wait for it.
    """

    engine: Engine
    pool: ThreadPoolExecutor
    refused: dict[str, str] = field(default_factory=dict)
    removed: int = 0
    untagged: int = 0
    freed_bytes: int = 0
    _needed: set[str] = field(default_factory=set)
    _under_way: list[tuple[Removal, Future[None]]] = field(default_factory=list)

    def begin(self, removal: Removal) -> None:
        """Remove an image when those above it are gone. Raises NoEngine."""
        image = removal.image
        while any(above.image.parent_id == image.id for above, _ in self._under_way) or (
            len(self._under_way) >= AT_ONCE
        ):
            self._take_first()
        if image.id in self._needed:
            self._needed.add(image.parent_id)
            return
        self._under_way.append((removal, self.pool.submit(_remove, self.engine, removal)))

    def finish(self) -> None:
        """Wait for the rest. Raises NoEngine."""
        while self._under_way:
            self._take_first()

    def _take_first(self) -> None:
        removal, future = self._under_way.pop(0)
        try:
            future.result()
        except NoEngine:
            raise
        except EngineError as error:
            self.refused[removal.title] = error.details or error.brief
            self._needed.add(removal.image.parent_id)
            return
        self.removed += removal.goes
        self.untagged += not removal.goes
        self.freed_bytes += (removal.own_bytes or 0) if removal.goes else 0


def _remove(engine: Engine, removal: Removal) -> None:
    for name in removal.names:
        image = engine.image(name)
        if image is not None and image.id == removal.image.id:
            engine.untag(name)
    if removal.goes and not removal.names:
        engine.untag(removal.image.id)


@contextlib.contextmanager
def _holding(engine: Engine, images: Sequence[str], now_s: float) -> Iterator[None]:
    """Keep untagged images from going with their last child: no engine removes what a container uses.

    The containers are never started and carry the label of a run, so the sweep takes what a kill leaves.
    """
    made: list[str] = []
    own = {labels.RUN: new_run_id(now_s), labels.VERSION: labels.CONTAINER}
    try:
        for image in images:
            name = f"stalker-prune-{secrets.token_hex(6)}"
            made.append(engine.create(ContainerSpec(image=image, name=name, labels=own)))
        yield
    finally:
        for container in made:
            engine.remove_container(container)


def stores_of(tree: Tree, stalks: Sequence[Stalk], engine: Engine, say: Callable[[str], None]) -> list[str]:
    """Return the stores of some stalks that are there, ours, and mounted by no other stalk of the tree."""
    names = [stalk.name for stalk in stalks]
    own = _store_names(stalks)
    shared = _store_names([stalk for stalk in tree.stalks if stalk.name not in names])
    there = set(engine.volumes({labels.VERSION: ""}))
    for store in own:
        if store in there and store in shared:
            say(f"the store {store} stays: other stalks of the tree mount it")
    return [store for store in own if store in there and store not in shared]


def remove_stores(engine: Engine, stores: Sequence[str]) -> list[tuple[str, str]]:
    """Remove stores with all that is in them; return those that the engine did not let go, with why."""
    refused = []
    for store in stores:
        try:
            engine.remove_volume(store)
        except NoEngine:
            raise
        except NotThere:
            continue
        except EngineError as error:
            refused.append((f"the store {store}", error.details or error.brief))
    return refused


def _store_names(stalks: Sequence[Stalk]) -> list[str]:
    return list(
        dict.fromkeys(
            mount.source
            for stalk in stalks
            for step in stalk.steps
            for mount in step.mounts
            if mount.kind == "store"
        )
    )
