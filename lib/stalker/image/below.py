"""Which stalks of a tree grow on one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.model.tree import TagBase

if TYPE_CHECKING:
    from stalker.model.tree import Stalk, Tree


def stalks_below(tree: Tree, name: str) -> list[Stalk]:
    """Return a stalk and all that grow on it, all of the tree for an empty name, in the tree's order.

    Raises:
        KeyError: the tree has no such stalk.
    """
    if not name:
        return list(tree.stalks)
    found = {tree.stalk(name).name}
    grown = True
    while grown:
        more = {
            stalk.name
            for stalk in tree.stalks
            if stalk.parent in found
            or (stalk.start and stalk.start.partition(":")[0] in found)
            or any(_names_one_of(base, tree, found) for base in stalk.bases)
        }
        grown = not more <= found
        found |= more
    return [stalk for stalk in tree.stalks if stalk.name in found]


def _names_one_of(base: object, tree: Tree, stalks: set[str]) -> bool:
    """Say whether a base is the image of one of some stalks."""
    if not isinstance(base, TagBase) or base.name.endswith(":initial"):
        return False
    repository = base.name.rpartition(":")[0]
    return any(stalk.repository == repository for stalk in tree.stalks if stalk.name in stalks)
