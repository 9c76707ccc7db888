"""Which images a prune takes away, and why each other one stays. Pure: nothing is removed here.

An image that a stalk left goes with its names unless something that stays needs it:

    stays, names too    another committed image of ours grows on it, a container uses it,
                        it is young or among the newest, as asked
    names go, it stays  another user has a name for it, or derived an image from it
    goes                nothing of that
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.images.listing import Sizes, depths, grown_on, owned_images, step_names
from stalker.model.images import short_id
from stalker.model.tree import TagBase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.engine.interface import Engine
    from stalker.images.listing import Owned
    from stalker.model.images import Image
    from stalker.model.tree import Stalk


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a stalk is to go: all, or what is older, past the newest `keep` of each step, or failed."""

    older_than_s: float | None = None
    keep: int | None = None
    failed_only: bool = False
    bases: bool = False


NAMELESS = {
    "temporary": "a layer below a step",
    "base": "a base without a name",
    "shell": "what a shell left, its tag was given to another",
}
"""What an image without a name is called, unless it is an old build of a step."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An image that goes, or only loses `names`.

    `what` says what one without names is; `own_bytes` is what that frees, None when not known.
    """

    image: Image
    names: tuple[str, ...]
    what: str
    goes: bool
    own_bytes: int | None = None

    @property
    def title(self) -> str:
        """Its names, or its id when it has none."""
        return ", ".join(self.names) or short_id(self.image.id)


@dataclass(frozen=True, slots=True)
class Pruning:
    """A prune as planned: what goes, in order, and what stays although it was asked for, with reasons.

    `held` are ids of untagged images that stay: an engine takes untagged parents along with their
    last child, so they have to be held meanwhile.
    """

    removals: tuple[Removal, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    held: tuple[str, ...] = ()

    @property
    def freed_bytes(self) -> int:
        """What goes, in bytes, as far as known."""
        return sum(removal.own_bytes or 0 for removal in self.removals if removal.goes)


def _title(image: Image) -> str:
    return ", ".join(image.tags) or short_id(image.id)


def plan_prune(
    stalks: Sequence[Stalk],
    images: Sequence[Image],
    engine: Engine,
    used: Mapping[str, str],
    limits: Limits,
    now_s: float,
) -> Pruning:
    """Decide what goes. `images` are all with our labels; `used` maps image ids to containers' names."""
    return _Planner(stalks, images, engine, used, limits, now_s).plan()


State = Literal["goes", "unnamed", "stays"]


@dataclass(slots=True)
class _Planner:
    stalks: Sequence[Stalk]
    images: Sequence[Image]
    engine: Engine
    used: Mapping[str, str]
    limits: Limits
    now_s: float
    repositories: set[str] = field(default_factory=set)
    owned: dict[str, Owned] = field(default_factory=dict)
    children: dict[str, list[Image]] = field(default_factory=lambda: defaultdict(list))
    growing: dict[str, list[Image]] = field(default_factory=lambda: defaultdict(list))
    states: dict[str, State] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Pruning:
        self.repositories = {stalk.repository for stalk in self.stalks}
        self.owned = {one.image.id: one for one in owned_images(self.images, self.engine.image)}
        grown = grown_on(self.images)
        for image in self.images:
            if image.parent_id:
                self.children[image.parent_id].append(image)
            for below in grown[image.id]:
                self.growing[below].append(image)
        chosen = self._chosen()
        sizes = Sizes(self.images, self.engine.sized)
        removals = []
        for image in self._children_first():
            one = self.owned.get(image.id)
            if one is None or not self._is_asked_for(one, chosen):
                continue
            state = self.states[image.id] = self._state(one)
            names = tuple(name for name in image.tags if self._is_in_scope(name))
            if state == "goes" or (state == "unnamed" and names):
                goes = state == "goes"
                own = sizes.layer_bytes(image)
                what = NAMELESS.get(one.kind, f"old build of {one.step}")
                removals.append(Removal(image, names, what, goes, own if goes else 0))
        removals += self._initial_names({removal.image.id for removal in removals})
        return Pruning(tuple(removals), tuple(self.kept.items()), self._held())

    def _chosen(self) -> set[str]:
        """Return the ids of the states that the limits ask for."""
        groups: dict[tuple[str, str], list[Image]] = defaultdict(list)
        for one in self.owned.values():
            is_state = one.kind == "failed" or (one.kind in {"step", "shell"} and not self.limits.failed_only)
            if is_state and self._stalks_of(one) & self.repositories:
                names = [name for name in step_names(one) if self._is_in_scope(name)]
                groups[one.kind, names[0] if names else one.step].append(one.image)
        found = set()
        for (kind, _), images in groups.items():
            images.sort(key=lambda image: (bool(image.tags), image.created_s), reverse=True)
            # A shell that lost its tag to another is not a build to keep.
            kept = (self.limits.keep or 0) if kind != "shell" or images[0].tags else 0
            for image in images[kept:]:
                older_s = self.limits.older_than_s
                if older_s is None or image.created_s < self.now_s - older_s:
                    found.add(image.id)
        return found

    def _stalks_of(self, one: Owned) -> set[str]:
        """Return the repositories that a state belongs to: whose it was made for, and who shares it."""
        if one.kind not in {"step", "failed", "shell"}:
            return set()
        return {one.repository, *(name.rpartition(":")[0] for name in step_names(one))}

    def _children_first(self) -> list[Image]:
        depth = depths(self.images)
        return sorted(
            self.images,
            key=lambda image: (
                self._is_base(image),
                -depth[image.id],
                bool(image.tags),
                image.created_s,
                image.id,
            ),
        )

    def _is_base(self, image: Image) -> bool:
        """Return whether it is a base: those come last, when all that may grow on them is judged."""
        return image.id in self.owned and self.owned[image.id].kind == "base"

    def _is_asked_for(self, one: Owned, chosen: set[str]) -> bool:
        if one.image.id in chosen:
            return True
        children = self.children[one.image.id]
        all_go = bool(children) and all(self.states.get(child.id) == "goes" for child in children)
        if one.kind == "temporary":
            return all_go
        if one.kind != "base" or not self.limits.bases:
            return False
        stalks = [name.rpartition(":")[0] for name in one.image.tags if self._is_in_scope(name)]
        if not one.image.tags:
            return all_go
        return any(self._is_emptied(stalk) for stalk in stalks) or self._is_left_over(one.image, stalks)

    def _is_left_over(self, image: Image, repositories: Sequence[str]) -> bool:
        """Return whether a base is all that a stalk has here, as a prune without `bases` leaves it."""
        older_s = self.limits.older_than_s
        if self.limits.failed_only or (older_s is not None and image.created_s >= self.now_s - older_s):
            return False
        return any(not self._states_of(repository) for repository in repositories)

    def _states_of(self, repository: str) -> list[Owned]:
        """Return the committed states that a stalk has here."""
        steps = [one for one in self.owned.values() if one.kind == "step"]
        return [one for one in steps if repository in self._stalks_of(one)]

    def _is_emptied(self, repository: str) -> bool:
        """Return whether a stalk had committed states here and none is left; asked when all were judged."""
        own = self._states_of(repository)
        return bool(own) and all(self.states.get(one.image.id) in {"goes", "unnamed"} for one in own)

    def _state(self, one: Owned) -> State:
        image = one.image
        title = ", ".join(image.tags) or f"{short_id(image.id)} ({one.step or one.kind})"
        if image.id in self.used:
            self.kept[title] = f"the container {self.used[image.id]} uses it"
            return "stays"
        others = [name for name in image.tags if not self._is_in_scope(name)]
        state: State = "unnamed" if others else "goes"
        if others:
            self.kept[title] = f"its layers stay: it is also named {', '.join(others)}"
        for child in self.growing[image.id]:
            grown = self.owned.get(child.id)
            if grown is None or self.states.get(child.id, "stays") != "stays":
                continue
            # A variant that shares it under a name of its own does not need ours.
            if not others or self._stalks_of(grown) & self.repositories:
                self.kept[title] = f"{_title(child)} grows on it"
                return "stays"
        for child in self.children[image.id]:
            if self.states.get(child.id) != "goes":
                state = "unnamed"
                whose = "" if child.id in self.owned else ", which stalker did not make,"
                self.kept.setdefault(title, f"its layers stay: {_title(child)}{whose} grows on it")
        return state

    def _is_in_scope(self, name: str) -> bool:
        return name.rpartition(":")[0] in self.repositories

    def _initial_names(self, judged: set[str]) -> list[Removal]:
        """Return the `:initial` names that go with their stalk though the image below them stays."""
        found = []
        for stalk in self.stalks:
            name = f"{stalk.repository}:initial"
            if self.limits.failed_only or not self._is_emptied(stalk.repository):
                continue
            image = next((image for image in self.images if name in image.tags), None) or self.engine.image(
                name
            )
            if image is None or image.id in judged or name not in image.tags:
                continue
            if any(isinstance(base, TagBase) and base.name == name for base in stalk.bases):
                self.kept[name] = "the tree names it as the stalk's base"
            elif len(image.tags) > 1:
                found.append(Removal(image, (name,), "what the stalk started from", goes=False, own_bytes=0))
            elif image.id in self.owned:
                self.kept.setdefault(name, "a base image; --bases takes it too")
            else:
                self.kept[name] = "stalker did not make it, and it has no other name"
        return found

    def _held(self) -> tuple[str, ...]:
        """Return the untagged images that an engine would take along with their last child."""
        by_id = {image.id: image for image in self.images}
        found = []
        for name, state in self.states.items():
            parent_id = by_id[name].parent_id
            if state != "goes" or not parent_id or self.states.get(parent_id) == "goes":
                continue
            parent = by_id.get(parent_id) or self.engine.image(parent_id)
            if parent is None or [tag for tag in parent.tags if not self._loses(parent, tag)]:
                continue
            if all(self.states.get(child.id) == "goes" for child in self.children[parent_id]):
                found.append(parent_id)
        return tuple(dict.fromkeys(found))

    def _loses(self, image: Image, name: str) -> bool:
        return self.states.get(image.id) == "unnamed" and self._is_in_scope(name)
