"""REF: find the image that the user names.

`stalk:step` of a tree (also `stalk:initial`, `stalk:final`, `stalk:step.failed`; `stalk` alone is
`stalk:final`), a full image name, an image id, or a fingerprint: whole, or 12 digits or more. Without a
tree `stalk:step` means the only image of ours that is named so.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from stalker.errors import PlanError
from stalker.images.listing import owned_images
from stalker.model import labels
from stalker.model.images import short_id
from stalker.model.program import program
from stalker.plan.image_index import ImageIndex

if TYPE_CHECKING:
    from stalker.engine.interface import Engine
    from stalker.model.images import Image
    from stalker.model.tree import Tree

SHORTEST = 12
NEAR = 5

_NAME = re.compile(r"(?!.*/\.)[a-zA-Z0-9][a-zA-Z0-9._:/@-]*")
"""What the engine may be queried for: anything else would be another path of its API."""

_SHORT = re.compile(r"[a-z0-9][a-z0-9._-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""`stalk:step`."""

_HEX = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}")


def find_ref(engine: Engine, ref: str, tree: Tree | None) -> tuple[str, Image]:
    """Return the full name of the image that `ref` means, and the image, inspected.

    Where it has no name its short id is returned.

    Raises:
        PlanError: nothing is meant by it, or more than one image is; near names are suggested.
    """
    name_or_id = ref.strip()
    if not name_or_id:
        raise PlanError("an empty REF names no image", "", _forms(tree))
    named = _in_tree(name_or_id, tree) if tree is not None else ""
    for name in filter(_NAME.fullmatch, _names(name_or_id, named)):
        image = engine.image(name)
        if image is not None:
            return (name if name in image.tags else _name_of(image, name)), image
    if tree is None and _SHORT.fullmatch(name_or_id):
        ours = [
            (name, image) for name, image in _own_names(engine).items() if name.endswith(f"/{name_or_id}")
        ]
        if len(ours) > 1:
            raise PlanError(
                f"{ref} is the end of {len(ours)} names",
                "\n".join(name for name, _ in ours),
                "name the tree (--tree TREE), or give the full name",
            )
        for name, image in ours:
            return name, engine.image(name) or image
    digits = name_or_id.removeprefix("sha256:")
    if _HEX.fullmatch(digits):
        found = _by_fingerprint(engine, digits) or _by_id(engine, digits)
        if found is not None:
            return _name_of(found, ""), found
    raise _unknown(engine, ref, named, tree)


def _in_tree(ref: str, tree: Tree) -> str:
    """Return the full name of `stalk` or `stalk:step` of a tree, empty when it has no such stalk."""
    name, _, step = ref.partition(":")
    stalks = {stalk.name: stalk for stalk in tree.stalks}
    stalk = stalks.get(name)
    while stalk is not None and not stalk.steps and step in {"", "final"} and stalk.parent in stalks:
        stalk = stalks[stalk.parent]  # without steps of its own it ends where it starts
    return f"{stalk.repository}:{step or 'final'}" if stalk is not None else ""


def _names(ref: str, named: str) -> list[str]:
    """Return the names to look for, in order. Bare digits are not a name: the engine takes them for an id."""
    if named:
        return [named]
    if _HEX.fullmatch(ref.removeprefix("sha256:")):
        return []
    is_bare = ":" not in ref.rpartition("/")[2] and "@" not in ref
    return [f"{ref}:final", ref] if is_bare else [ref]


def _by_fingerprint(engine: Engine, digits: str) -> Image | None:
    index = ImageIndex(engine.labelled_images(), engine.image)
    found: dict[str, str] = {}
    for image in index.all:
        fingerprint = image.labels.get(labels.FINGERPRINT, "")
        if fingerprint.startswith(digits):
            found.setdefault(fingerprint, image.labels.get(labels.STEP, ""))
    if len(found) > 1:
        raise PlanError(
            f"{digits} is the beginning of {len(found)} fingerprints",
            "\n".join(f"{fingerprint}  {step}" for fingerprint, step in sorted(found.items())),
            "give more digits",
        )
    for fingerprint, step in found.items():
        for image in index.with_fingerprint(fingerprint, step):
            return engine.image(image.id) or image
    return None


def _by_id(engine: Engine, digits: str) -> Image | None:
    for name in (f"sha256:{digits}", digits):
        image = engine.image(name) if name == digits or len(digits) == 64 else None
        if image is not None:
            return image
    for image in engine.labelled_images():
        if image.id.removeprefix("sha256:").startswith(digits):
            return image
    return None


def _name_of(image: Image, given: str) -> str:
    """Return the best name of an image: its step's, else its first, else what was given."""
    own = image.labels.get(labels.STEP, "")
    if own in image.tags:
        return own
    return image.tags[0] if image.tags else given or short_id(image.id)


def _own_names(engine: Engine) -> dict[str, Image]:
    """Return the names of what stalker made, with the images; what others derived inherits only labels."""
    owned = owned_images(engine.labelled_images(), engine.image)
    found = {tag: one.image for one in owned for tag in one.image.tags}
    return dict(sorted(found.items()))


def _unknown(engine: Engine, ref: str, named: str, tree: Tree | None) -> PlanError:
    known = _own_names(engine)
    if tree is None:
        # Perhaps what comes before the stalk was left out: then only a full name helps.
        short = {name.rpartition("/")[2]: name for name in known} | {name: name for name in known}
    else:
        stalks = {stalk.repository: stalk.name for stalk in tree.stalks}
        full = [name for name in known if name.rpartition(":")[0] in stalks]
        short = {f"{stalks[name.rpartition(':')[0]]}:{name.rpartition(':')[2]}": name for name in full}
        short |= {name: name for name in full if "/" in ref}
    near = get_close_matches(ref, short, NEAR, 0.55)
    siblings = [name for name in short if name.partition(":")[0] == ref.partition(":")[0]]
    there: dict[str, str] = {}
    for name in (*near, *siblings):
        there.setdefault(short[name], short[name] if tree is None else name)
    brief = f"{ref} is not there: no image is named {named}" if named else f"no image is meant by {ref}"
    details = f"did you mean {' or '.join(list(there.values())[:NEAR])}?" if there else ""
    if not details and not known:
        details = "this engine has no committed images yet"
    return PlanError(brief, details, _forms(tree))


def _forms(tree: Tree | None) -> str:
    if tree is None:
        return (
            "a REF is stalk:step, with --tree TREE where it is not clear whose, a full image name, an image id or a fingerprint; "
            f"`{program()} images` lists them"
        )
    return f"`{program()} images {tree.file}` lists what is committed, `{program()} plan {tree.file}` what is not"
