"""Which base gives a root stalk its first image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stalker.model.base_key import base_key, describe_base, moved_images
from stalker.model.images import short_id
from stalker.model.platforms import Platform, runs_on
from stalker.model.tree import ImageBase, TagBase
from stalker.plan.image_index import inputs_of, made_from
from stalker.plan.plan import BaseAction
from stalker.plan.verdicts import initial_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from stalker.model.images import Image
    from stalker.model.tree import Base, Stalk, Tree
    from stalker.plan.image_index import ImageIndex


GONE = "is not here"


def find_bases(
    tree: Tree,
    index: ImageIndex,
    obstacle: Callable[[Base, str], str],
    needed: Collection[str] = (),
) -> dict[str, BaseAction]:
    """Return for each root stalk where its first image comes from.

    The first base of the list that is in the engine serves, without asking anybody; if none is, the
    first that nothing is known against will be provided. `obstacle(base, platform)` is asked only then.
    Where none can be provided, the steps that were made from one say what it was, which is enough unless
    the stalk is among those for which the image itself is `needed`.
    """
    return {
        stalk.name: _find(stalk, index, obstacle, is_needed=stalk.name in needed)
        for stalk in tree.stalks
        if stalk.bases or not (stalk.parent or stalk.start)
    }


def _find(
    stalk: Stalk, index: ImageIndex, obstacle: Callable[[Base, str], str], *, is_needed: bool
) -> BaseAction:
    name = initial_name(stalk)
    passed: list[str] = []
    missing: dict[Base, str] = {}
    for base in stalk.bases:
        image, why = _there(base, stalk.platform, index)
        if image is not None:
            said = f"{describe_base(base)} is here ({short_id(image.id)})"
            action = BaseAction(stalk.name, name, "REUSE", "; ".join([said, *passed]), base, image.id)
            return replace(action, known=index.inspected(image))
        passed.append(f"{describe_base(base)} {why}")
        missing[base] = why
    refused: list[str] = []
    for base in stalk.bases:
        if isinstance(base, TagBase):
            why = _why_no_tag(base, stalk.platform, index)
        else:
            why = obstacle(base, stalk.platform)
        if not why:
            moved = ": it " + missing[base] if missing[base] != GONE else ""
            said = f"{describe_base(base)} will be made{moved}"
            return BaseAction(stalk.name, name, "RUN", "; ".join([said, *refused]), base)
        refused.append(f"{describe_base(base)}: {why}")
    remembered = None if is_needed else _remembered(stalk, index)
    if remembered is not None:
        return replace(remembered, reason="; ".join([*refused, remembered.reason]))
    return BaseAction(stalk.name, name, "BLOCKED", "; ".join(refused) or "the stalk has no base", None)


def _remembered(stalk: Stalk, index: ImageIndex) -> BaseAction | None:
    """Return what a base was by what the first steps on it say; None where none says so."""
    first = f"{stalk.repository}:{stalk.steps[0].name}" if stalk.steps else ""
    for base in stalk.bases:
        image = index.made_on(base_key(base, stalk.platform), first)
        if image is None:
            continue
        inputs, start = inputs_of(image), made_from(image).get("initial", "")
        known = index.named(start) if start else None
        return BaseAction(
            stalk.name,
            initial_name(stalk),
            "REUSE",
            "the steps that were made from it are here",
            base,
            known.id if known is not None else "",
            remembered=inputs.get("base", ""),
            platform=inputs.get("platform", ""),
        )
    return None


def _there(base: Base, platform: str, index: ImageIndex) -> tuple[Image | None, str]:
    """Return the image of a base, or why none serves."""
    gone = GONE
    if isinstance(base, (TagBase, ImageBase)):
        image = index.named(base.name)
        if image is None or not _fits(image, platform, index):
            return None, gone
        if isinstance(base, TagBase) or not base.digest:
            return image, ""
        pinned = any(digest.endswith("@" + base.digest) for digest in image.digests)
        return (image, "") if pinned or image.id == base.digest else (None, gone)
    for image in index.of_base(base_key(base, platform)):
        moved = moved_images(image, index.identity_of)
        if not moved:
            return image, ""
        gone = f"builds on {moved[0]}, which is another image now"
    return None, gone


def _fits(image: Image, platform: str, index: ImageIndex) -> bool:
    """Return whether an image is of a platform; the engine is asked where its listing does not tell."""
    if not platform:
        return True
    known = image if image.architecture else index.inspected(image)
    return runs_on(platform, known.architecture, known.variant)


def _why_no_tag(base: TagBase, platform: str, index: ImageIndex) -> str:
    image = index.named(base.name)
    if image is None:
        return f"there is no image {base.name}"
    own = index.inspected(image)
    return f"it is of {Platform('linux', own.architecture, own.variant)}, not of {platform}"
