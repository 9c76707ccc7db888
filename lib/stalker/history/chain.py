"""The states that an image grew through: its base, and what each step left.

Steps are not layers: a container that serves several steps commits its whole layer each time. So history
compares the states of consecutive steps. Each step has one parent, which its image's labels name; what a step
`needs` is an input of it, not a state before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.model import labels
from stalker.model.images import short_id
from stalker.plan.image_index import commit_of, inputs_of, made_from

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.engine.interface import Engine
    from stalker.model.images import Image

_NOT_STEPS = {"start", "initial", "base"}
"""Keys of `made_from` that name no step."""


@dataclass(frozen=True, slots=True)
class State:
    """What one step left, or the base that the first one started from: then `step` is empty.

    `gap` are the steps between the state before and this one whose images are missing.
    """

    image: Image
    step: str = ""
    gap: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is called in lists: `stalk:step`, or the base by its name."""
        if self.step:
            return self.step
        return f"base {self.image.tags[0] if self.image.tags else short_id(self.image.id)}"

    @property
    def run(self) -> str:
        """The run that left it, empty for a base."""
        return self.image.labels.get(labels.RUN, "") if self.step else ""


def step_of(image: Image) -> str:
    """Return the step that left an image as `stalk:step`, also a failed one; empty when none did."""
    name = image.labels.get(labels.STEP, "")
    failed = image.labels.get(labels.FAILED, "")
    name = name or (f"{failed}.failed" if failed else "")
    return name.rpartition("/")[2]


def needs_of(image: Image) -> dict[str, str]:
    """Return the steps of other stalks that a step had as inputs, with their fingerprints."""
    return {
        name.removeprefix("needs "): value
        for name, value in inputs_of(image).items()
        if name.startswith("needs ")
    }


def chain_of(engine: Engine, image: Image) -> list[State]:
    """Return the states up to an image, the oldest first; asks the engine for one listing."""
    images = {one.id: one for one in engine.labelled_images()}
    by_commit = {commit_of(one): one for one in images.values() if one.labels.get(labels.STEP)}
    by_fingerprint = _by_fingerprint(images.values())
    found: list[State] = []
    current: Image | None = image
    while current is not None:
        step = step_of(current)
        if not step:
            found.append(State(current))
            break
        before, gap = _before(engine, current, images, by_commit, by_fingerprint)
        found.append(State(current, step, gap))
        if before is not None and any(before.id == state.image.id for state in found):
            break  # labels that another program wrote
        current = before
    return [_inspected(engine, state) for state in reversed(found)]


def _inspected(engine: Engine, state: State) -> State:
    """Return a state whose image has its layers: a listing does not report them."""
    if state.image.diff_ids:
        return state
    image = engine.image(state.image.id)
    return State(image, state.step, state.gap) if image is not None else state


def _by_fingerprint(images: Iterable[Image]) -> dict[str, Image]:
    """Return the newest image of each fingerprint."""
    found: dict[str, Image] = {}
    for image in sorted(images, key=lambda one: one.created_s):
        fingerprint = image.labels.get(labels.FINGERPRINT, "")
        if fingerprint:
            found[fingerprint] = image
    return found


def _before(
    engine: Engine,
    image: Image,
    images: dict[str, Image],
    by_commit: dict[str, Image],
    by_fingerprint: dict[str, Image],
) -> tuple[Image | None, tuple[str, ...]]:
    """Return the state before an image and the steps between the two whose images are missing."""
    made = made_from(image)
    inputs = inputs_of(image)
    needs = needs_of(image)
    parents = [name for name in made if name not in _NOT_STEPS and name not in needs]
    for name in parents:
        if made[name] in by_commit:
            return by_commit[made[name]], ()
        if made[name] in images:  # what the first version of stalker left has no commit of its own
            return images[made[name]], ()
    # A failed state names its parent by fingerprint alone.
    parent = by_fingerprint.get(inputs.get("parent", ""))
    if parent is not None and not parents:
        return parent, ()
    start = made.get("initial") or made.get("start") or image.parent_id
    before = images.get(start) or (engine.image(start) if start else None)
    return before, tuple(parents)
