"""A tree as it is after all merging, as Hjson that runs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stalker.config.schema.tree import NODE
from stalker.config.schema.types import is_variable
from stalker.config.syntax.document import plain
from stalker.config.syntax.hjson import read_hjson
from stalker.config.tree.load import checked, load_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.config.syntax.document import Node

SECTIONS = ("architecture", "paths", "globals")
"""Where a tree sets variables of all stalks, weakest first."""


def resolved_text(
    path: str, workspace: str, overrides: Mapping[str, str], with_files: Sequence[str] = ()
) -> str:
    """Return a tree with files merged onto it and variables set, as the text of a tree file.

    Raises:
        FilesError: all problems of all files. ArgumentsError: a file is missing, or a variable is wrong.
    """
    reading = load_tree(path, workspace, overrides, with_files)
    checked(reading)
    assert reading.root is not None
    document = written_values(reading.root)
    for name, value in overrides.items():
        _set(document, name, value)
    return as_hjson(document)


def written_values(node: Node, key: str = "") -> Any:
    """Return a value without its places; a scalar keeps the digits and the word that were written."""
    if isinstance(node.value, dict):
        return {name: written_values(child, name) for name, child in node.items()}
    if isinstance(node.value, list):
        return [written_values(child) for child in node.value]
    if node.value is None or isinstance(node.value, str) or json.dumps(node.value) == node.text:
        return node.value
    if is_variable(key):
        return node.text  # a variable is text: 1.10 is not 1.1
    return Decimal(node.text) if str(node.value) != node.text and _is_decimal(node) else node.value


def _is_decimal(node: Node) -> bool:
    is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return is_number and node.text.replace(".", "").isdecimal()


def _set(document: dict[str, Any], name: str, value: str) -> None:
    """Set a variable as `--set` does: it is stronger than all of the tree, so it replaces each of its settings."""
    holders = [document[section] for section in SECTIONS if name in document.get(section, {})]
    if not holders:
        section = "architecture" if name in {"OS", "ARCH", "SUBARCH"} else "globals"
        holders = [document.setdefault(section, {})]
    for holder in (*holders, *_nodes_with(document["stalks"], name)):
        holder[name] = value


def _nodes_with(stalks: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = []
    for key, node in stalks.items():
        if isinstance(node, dict) and key not in NODE.keys:
            found += [node] if name in node else []
            found += _nodes_with(node, name)
    return found


def as_hjson(document: dict[str, Any]) -> str:
    """Return values as Hjson with a last newline; as JSON, which Hjson holds, where the package writes others."""
    import hjson  # late: 10 ms, and few commands write Hjson

    text = str(hjson.dumps(document, use_decimal=True)) + "\n"
    read = read_hjson(text, "")
    if read.root is None or read.problems or plain(read.root) != document:
        text = str(hjson.dumpsJSON(document, use_decimal=True, indent=2)) + "\n"
    return text
