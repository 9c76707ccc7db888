"""The engine's images, arranged for look-up: by name, by fingerprint, by step, by base."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stalker.model import labels
from stalker.model.base_key import made_bases
from stalker.model.identity import image_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stalker.model.images import Image


class ImageIndex:
    """The result of one listing of the engine.

    Images derived from ours by other tools inherit our labels. `made_by_us` tells them apart: our
    own commit sits directly on the image that its container started from, and says in its comment
    what it is. `inspect` is called only where the listing does not show that parent.
    """

    def __init__(self, images: Iterable[Image], inspect: Callable[[str], Image | None]) -> None:
        self._inspect = inspect
        self.all = tuple(images)
        self.by_name: dict[str, Image] = {}
        self._by_fingerprint: dict[str, list[Image]] = {}
        self._by_step: dict[str, list[Image]] = {}
        self._by_base: dict[str, list[Image]] | None = None
        self.has_format_1 = False
        """Return whether a step of the first version of stalker is there."""
        for image in sorted(self.all, key=lambda image: image.created_s, reverse=True):
            for name in image.tags:
                self.by_name[name] = image
            fingerprint = image.labels.get(labels.FINGERPRINT)
            if fingerprint:
                self._by_fingerprint.setdefault(fingerprint, []).append(image)
                self._by_step.setdefault(image.labels.get(labels.STEP, ""), []).append(image)
                self.has_format_1 = self.has_format_1 or not image.labels.get(labels.COMMIT)

    def named(self, name: str) -> Image | None:
        """Return the image of that name, asking the engine for one without our labels."""
        if name not in self.by_name:
            image = self._inspect(name)
            if image is None:
                return None
            self.by_name[name] = image
        return self.by_name[name]

    def is_labelled(self, image_id: str) -> bool:
        """Return whether an image has labels of ours, so that a listing shows it."""
        return any(image.id == image_id for image in self.all)

    def inspected(self, image: Image) -> Image:
        """Return an image with what a listing does not report, as its architecture and its layers."""
        return image if image.diff_ids else self._inspect(image.id) or image

    def with_fingerprint(self, fingerprint: str, name: str) -> list[Image]:
        """Return the images that are this work: the one tagged `name` first, then newest first."""
        found = [image for image in self._by_fingerprint.get(fingerprint, ()) if self.made_by_us(image)]
        return sorted(found, key=lambda image: name not in image.tags)

    def made_by_us(self, image: Image) -> bool:
        """Tell an image that a step left from one that another tool derived from it."""
        return is_made_by_us(image, self._inspect)

    def latest_of_step(self, name: str) -> Image | None:
        """Return the image tagged `name` if a step left it, else the newest one of that step."""
        tagged = self.by_name.get(name)
        if tagged is not None and tagged.labels.get(labels.STEP) == name:
            return tagged
        return next(iter(self._by_step.get(name, ())), None)

    def of_base(self, key: str) -> list[Image]:
        """Return the images that were made for a base, the oldest first: several where what it is built on moved."""
        if self._by_base is None:
            self._by_base = made_bases(self.all)
        return self._by_base.get(key, [])

    def made_on(self, key: str, name: str) -> Image | None:
        """Return an image that a step left on a base: the one tagged `name` if it did, else the newest."""
        found = [
            image
            for images in self._by_fingerprint.values()
            for image in images
            if made_from(image).get("base") == key and self.made_by_us(image)
        ]
        return max(found, key=lambda image: (name in image.tags, image.created_s), default=None)

    def identity_of(self, name: str) -> str:
        """Return what the image of a name is on every engine, empty when there is none."""
        image = self.named(name)
        return image_identity(self.inspected(image)) if image is not None else ""


def is_made_by_us(image: Image, inspect: Callable[[str], Image | None]) -> bool:
    """Tell an image that a step left from one that another tool derived from it.

    The step's name proves nothing: a user may give any name. A parent may be missing, as BuildKit's images have none,
    or guessed from equal layers, as Podman does: then the comment counts, which is of its own commit, see `Engine.image`.
    """
    if image.parent_id and image.parent_id == made_from(image).get("start", ""):
        return True
    known = image if image.comment else inspect(image.id)
    return known is not None and known.comment == labels.COMMENT + image.labels[labels.FINGERPRINT]


def commit_of(image: Image) -> str:
    """Return the name of the commit that an image is: the same wherever the image went.

    A random label; the image's id where it has none, as those that the first version of stalker left.
    """
    return image.labels.get(labels.COMMIT) or image.id


def made_from(image: Image) -> dict[str, str]:
    """Return what an image was made from.

    `start` is the id of the image that its container started from, `initial` that of a base, both on the
    engine where that was; `base` is the key of that base; each step id has the commit of the step's image.
    """
    return _json_label(image, labels.MADE_FROM)


def inputs_of(image: Image) -> dict[str, str]:
    """Return the inputs that an image was made of, as `fingerprint.whole_history` names them."""
    return _json_label(image, labels.INPUTS)


def duration_of(image: Image) -> float | None:
    """Return how long the step that left this image took, in seconds."""
    try:
        return float(image.labels[labels.DURATION])
    except (KeyError, ValueError):
        return None


def _json_label(image: Image, label: str) -> dict[str, str]:
    try:
        found = json.loads(image.labels.get(label) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
