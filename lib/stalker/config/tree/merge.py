"""Merge files of others onto a tree: mappings deep, lists and single values replaced, `null` removes.

A value keeps the document that it is from, so that any later problem has the file, line and column where it
was written. What a file names and the tree lacks is an error, except for what the shapes of a tree allow: a
key of theirs, a variable that a plugin inherits, a node with a stalk file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.config.locate import find_file
from stalker.config.schema.tree import NODE
from stalker.config.schema.types import is_variable
from stalker.config.syntax.document import walk
from stalker.config.syntax.hjson import HALF_PAIR
from stalker.config.syntax.report import did_you_mean
from stalker.errors import ArgumentsError
from stalker.model.diagnostics import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.workspace import Workspace


@dataclass(slots=True)
class Merge:
    """Merges one file after another; `added` are the variables that the tree did not set at their place."""

    workspace: Workspace
    report: Report
    added: dict[str, Node] = field(default_factory=dict)
    _components: dict[str, str] = field(default_factory=dict)
    """The path of each node of the tree, by its name."""

    def onto(self, root: Node, over: Node) -> Node:
        """Return a tree's root with a file's root merged onto it."""
        self._components = dict(components(root))
        return self._merged(root, over)

    def _merged(self, base: Node | None, over: Node, around: str = "") -> Node:
        """Merge a mapping; `around` is `stalks` or `node` where its keys may be nodes."""
        if not isinstance(over.value, dict):
            return over
        is_mapping = base is not None and isinstance(base.value, dict)
        children = dict(base.items()) if base is not None else {}
        for key, child in over.items():
            known = children.get(key)
            if child.value is None:
                self._remove(children, key, child)
            elif known is None and self._is_unknown_node(key, child, around):
                continue
            else:
                if known is None and is_variable(key):
                    self.added[key] = child
                children[key] = self._merged(known, child, _around(key, around, is_root=not over.path))
        place = base if is_mapping and base is not None else over
        return replace(place, value=children)

    def _remove(self, children: dict[str, Node], key: str, child: Node) -> None:
        if key in children:
            del children[key]
        else:
            hint = did_you_mean(key, children, "keys there")
            self.report.problem(child.key_place, f"null removes '{key}', which the tree lacks", hint)

    def _is_unknown_node(self, key: str, child: Node, around: str) -> bool:
        """Report a mapping in the place of a node that the tree lacks, and that has no stalk file."""
        if not around or not isinstance(child.value, dict) or is_variable(key):
            return False
        if around == "node" and key in NODE.keys:
            return False
        stalk = child.get("stalk")
        name = stalk.text if stalk is not None else key
        if elsewhere := self._components.get(key):
            hint = f"it is at {elsewhere}"
        elif self.workspace.kind(f"stalks/{name}/{name}.hjson") == "file":
            return False
        else:
            hint = did_you_mean(key, {*self._components, *(NODE.keys if around == "node" else ())}, "stalks")
        if stalk is not None and not elsewhere:
            return False  # a variant under a new name: its stalk file is reported where it is named
        self.report.problem(child.key_place, f"the tree has no stalk '{key}' here", hint)
        return True


def _around(key: str, around: str, *, is_root: bool) -> str:
    if is_root:
        return "stalks" if key == "stalks" else ""
    is_node = around == "stalks" or (around == "node" and key not in NODE.keys)
    return "node" if is_node and not is_variable(key) else ""


def components(root: Node) -> Iterator[tuple[str, str]]:
    """Yield name and path of each node of a tree, as written."""
    stalks = root.get("stalks")
    pending = list(stalks.items()) if stalks is not None else []
    while pending:
        key, node = pending.pop()
        if isinstance(node.value, dict):
            yield key, node.path
            pending += [(k, v) for k, v in node.items() if k not in NODE.keys and not is_variable(k)]


def merge_files(root: Node | None, paths: Sequence[str], workspace: Workspace, report: Report) -> Merge:
    """Read files and merge them onto a tree's root, in place, in the order given.

    A path is relative to the current directory, or else to the workspace; Hjson, JSON, or YAML by its ending.

    Raises:
        ArgumentsError: a file is missing.
    """
    merge = Merge(workspace, report)
    for path in paths:
        found = find_file(path, workspace.path)
        if not found:
            raise ArgumentsError([Problem(Place(path), "there is no such file")], f"--with: no file '{path}'")
        document = workspace.document(found, may_be_yaml=True)
        over = document.root if document is not None else None
        if over is None:
            continue
        if not isinstance(over.value, dict):
            report.problem(over.place, f"must be a mapping, is {over.kind}", "it is merged onto a tree")
        elif halves := [node for node in walk(over) if HALF_PAIR.search(node.text)]:
            report.problem(halves[0].place, "half of a surrogate pair, which is not a character")
        elif root is not None and isinstance(root.value, dict):
            root.value = merge.onto(root, over).value
    return merge
