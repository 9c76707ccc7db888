"""Which of the engine's images are ours: committed and failed states, old builds, kept shells, bases.

Images that other tools derive from ours inherit our labels; they are never ours.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.model import labels
from stalker.model.base_key import made_bases
from stalker.plan.image_index import commit_of, is_made_by_us, made_from
from stalker.run.shell import COMMENT as SHELL_COMMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from stalker.engine.interface import Engine
    from stalker.model.images import Image

FAILED_COMMENT = "stalker failed step "
"""What the commit comment of a failed state starts with."""

_CLEARED = (labels.STEP, labels.FAILED, labels.FINGERPRINT, labels.BASE, labels.TEMPORARY)
"""Labels that are empty in what a shell left."""

Kind = Literal["step", "failed", "shell", "base", "temporary"]


@dataclass(frozen=True, slots=True)
class Owned:
    """An image of ours.

    `step` is the full name of the step that left it, or that a kept shell was opened in; empty for bases,
    leftovers and shells in what no step left.
    """

    image: Image
    kind: Kind
    step: str = ""

    @property
    def repository(self) -> str:
        """The image name of its stalk, without a tag; a kept shell is where its tag does."""
        if self.kind == "shell" and self.image.tags:
            return self.image.tags[0].rpartition(":")[0]
        return self.step.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Row:
    """One name of an image, or `<none>` for an old build of a step that lost its name to a newer one.

    `own_bytes` is what this image adds to that of the step before it, None where that is not known.
    """

    name: str
    image: Image
    kind: Kind
    step: str
    own_bytes: int | None


def owned_images(images: Iterable[Image], inspect: Callable[[str], Image | None]) -> list[Owned]:
    """Return those of some labelled images that are ours; `inspect` is asked only where a listing is mute."""
    images = list(images)
    bases = {base.id for made in made_bases(images).values() for base in made}
    found = []
    for image in images:
        owned = _owned(image, bases, inspect)
        if owned is not None:
            found.append(owned)
    return found


def _owned(image: Image, bases: Collection[str], inspect: Callable[[str], Image | None]) -> Owned | None:
    step, failed = image.labels.get(labels.STEP, ""), image.labels.get(labels.FAILED, "")
    if step and image.labels.get(labels.FINGERPRINT):
        return Owned(image, "step", step) if is_made_by_us(image, inspect) else None
    if failed:
        is_ours = _comment(image, inspect).startswith(FAILED_COMMENT)
        return Owned(image, "failed", failed) if is_ours else None
    if image.labels.get(labels.TEMPORARY) and not image.tags:
        return Owned(image, "temporary")
    if image.id in bases:
        return Owned(image, "base")
    if image.labels.get(labels.VERSION) and not any(image.labels.get(name) for name in _CLEARED):
        comment = _comment(image, inspect)
        if comment.startswith(SHELL_COMMENT):
            return Owned(image, "shell", comment.removeprefix(SHELL_COMMENT))
    return None


def _comment(image: Image, inspect: Callable[[str], Image | None]) -> str:
    if image.comment:
        return image.comment
    inspected = inspect(image.id)
    return inspected.comment if inspected is not None else ""


def step_names(one: Owned) -> list[str]:
    """Return the names under which stalks have a state of a step as theirs.

    Variants share the steps in which they do not differ: `lite:apt` is then a name of the image that
    was made as `full:apt`.
    """
    if one.kind == "shell":
        return list(one.image.tags)
    if one.kind not in {"step", "failed"}:
        return []
    step = one.step.rpartition(":")[2] + (".failed" if one.kind == "failed" else "")
    return [tag for tag in one.image.tags if tag.rpartition(":")[2] == step]


def grown_on(images: Iterable[Image]) -> dict[str, tuple[str, ...]]:
    """Return for each image, by id, what it grows on: its parent, and what the step before it left.

    The two differ when a session was reused: then both steps were committed from one container, and the
    engine knows only what that started from.
    """
    images = list(images)
    by_commit: dict[str, list[str]] = defaultdict(list)
    for image in images:
        by_commit[commit_of(image)].append(image.id)
    found = {}
    for image in images:
        below = [one for commit in _same_stalk(image) for one in by_commit.get(commit, (commit,))]
        found[image.id] = tuple(
            dict.fromkeys(one for one in (image.parent_id, *below) if one not in {"", image.id})
        )
    return found


def _same_stalk(image: Image) -> list[str]:
    """Return the commits of the same stalk that an image was made from."""
    stalk = image.labels.get(labels.STEP, "").rpartition(":")[0].rpartition("/")[2]
    return [
        made
        for step, made in made_from(image).items()
        if stalk and step.rpartition(":")[0].lower() == stalk.lower()
    ]


def depths(images: Iterable[Image]) -> dict[str, int]:
    """Return for each image how many of the others it grows on, one upon another."""
    below = grown_on(images)
    found: dict[str, int] = {}
    for start in below:
        path = [start]
        while path:
            own = [one for one in below[path[-1]] if one in below and one not in path]
            before = next((one for one in own if one not in found), None)
            if before is not None:
                path.append(before)
                continue
            found[path.pop()] = 1 + max((found[one] for one in own), default=-1)
    return found


def list_rows(
    images: Collection[Image],
    engine: Engine,
    repositories: Collection[str] | None = None,
    extra: Iterable[Image] = (),
) -> list[Row]:
    """Return a row for each name that a stalk gave an image, stalk by stalk, oldest first.

    `repositories` are the stalks wanted, None for all that left a step here. `extra` are images without
    our labels that carry one of these names: what a stalk started from.
    """
    owned = owned_images(images, engine.image)
    if repositories is None:
        shared = {name.rpartition(":")[0] for one in owned for name in step_names(one)}
        wanted: Collection[str] = shared | {one.repository for one in owned if one.repository}
    else:
        wanted = repositories
    sizes = Sizes(images, engine.sized)
    rows = []
    for one in owned:
        names = [tag for tag in one.image.tags if tag.rpartition(":")[0] in wanted]
        if one.kind in {"step", "shell"} and one.repository in wanted and not one.image.tags:
            names = [""]
        rows += [Row(name, one.image, one.kind, one.step, sizes.own_bytes(one.image)) for name in names]
    known = {one.image.id for one in owned}
    # Stalks that start from one image have it once each.
    for image in {image.id: image for image in extra if image.id not in known}.values():
        names = [tag for tag in image.tags if tag.rpartition(":")[0] in wanted]
        rows += [Row(name, image, "base", "", None) for name in names]
    depth = depths(images)

    def order(row: Row) -> tuple[str, bool, bool, int, float, str]:
        repository, _, tag = (row.name or row.step).rpartition(":")
        is_end = tag == "final" and row.name != row.step
        deep = depth.get(row.image.id, 0)
        return repository, tag != "initial", is_end, deep, row.image.created_s, row.name

    return sorted(rows, key=order)


class Sizes:
    """What images add to those that they grow on; the size of one that is not among them is asked for once.

    All sizes are those of a listing: an inspection may count something else, see `Engine.sized`.
    """

    def __init__(self, images: Iterable[Image], sized: Callable[[str], Image | None]) -> None:
        images = list(images)
        self._sized = sized
        self._grown_on = grown_on(images)
        self._sizes: dict[str, int | None] = {image.id: image.size_bytes for image in images}

    def own_bytes(self, image: Image) -> int | None:
        """Return what an image adds to that of the step before it, or to its base; None when that is not known.

        The largest of what it grows on is the step before: a session's images all have the parent that it began with.
        """
        below = [self._size(one) for one in self._grown_on.get(image.id, ())]
        known = [size for size in below if size is not None]
        return max(0, image.size_bytes - max(known)) if known else None

    def layer_bytes(self, image: Image) -> int | None:
        """Return what goes with an image when it is removed and its parent stays; None when that is not known."""
        below = self._size(image.parent_id) if image.parent_id else None
        return None if below is None else max(0, image.size_bytes - below)

    def _size(self, image_id: str) -> int | None:
        if image_id not in self._sizes:
            found = self._sized(image_id)
            self._sizes[image_id] = found.size_bytes if found is not None else None
        return self._sizes[image_id]
