"""YAML read with positions, into the same document as Hjson: shapes, problems and hints are shared.

The values are those of PyYAML's safe loader (YAML 1.1: `yes` and `on` are true), except that

- a key given twice is a problem (PyYAML takes the last one silently),
- numbers keep their text as written, dates and `1:30` are text: nothing here means them otherwise,
- tags that make objects of programs, more than one document, and nesting past `DEPTH_MAX` are problems,
- an alias counts as what it stands for; a document that grows past `NODES_MAX` by them is a problem.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from stalker.config.syntax.document import Document, Node, Value
from stalker.model.diagnostics import Problem

if TYPE_CHECKING:
    from yaml.nodes import MappingNode

DEPTH_MAX = 100
NODES_MAX = 100_000

_TAG = "tag:yaml.org,2002:"
_KNOWN = frozenset(
    {"map", "seq", "str", "null", "bool", "int", "float", "timestamp", "binary", "merge", "value"}
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_BOOLS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class _Broken(Exception):
    """The document cannot be read past an offset."""

    def __init__(self, at: int, path: str, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.at, self.path, self.what, self.hint = at, path, what, hint


def read_yaml(text: str, file: str) -> Document:
    """Read a document; never raises. An empty one is an empty mapping."""
    document = Document(file, text)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document.root = (
            Node({}, "", 0, 0, 0, "", document) if root is None else _Reader(document).read(root, "", 0)
        )
    except _Broken as error:
        document.problems.append(Problem(document.place(error.at, error.path), error.what, error.hint))
    except yaml.MarkedYAMLError as error:
        document.problems.append(_slip(error, document))
    except yaml.reader.ReaderError as error:
        document.problems.append(Problem(document.place(error.position), f"no text: {error.reason}"))
    except RecursionError:
        document.problems.append(
            Problem(document.place(0), f"nested deeper than {DEPTH_MAX} levels", "files are not so deep")
        )
    if document.root is not None and document.root.value is None:
        document.root.value = {}
    return document


def _slip(error: yaml.MarkedYAMLError, document: Document) -> Problem:
    """Turn what the parser says into a problem with a place."""
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "this is not YAML"
    hint = ""
    if "\\t" in what:
        what, hint = "a tab cannot indent", "use blanks"
    elif "expected a single document" in (error.context or ""):
        what, hint = "a second document begins here", "keep one"
    elif error.context and error.context_mark is not None and error.context_mark is not mark:
        hint = f"{error.context} that begins in line {error.context_mark.line + 1}"
    return Problem(document.place(mark.index if mark else 0), what, hint)


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def read(self, found: yaml.Node, path: str, depth: int, key_at: int | None = None) -> Node:
        at = found.start_mark.index
        self.count += 1
        if depth > DEPTH_MAX:
            raise _Broken(at, path, f"nested deeper than {DEPTH_MAX} levels", "files are not so deep")
        if self.count > NODES_MAX:
            raise _Broken(at, path, "too many values", "aliases stand for more aliases here")
        text = ""
        value: Value
        if isinstance(found, yaml.MappingNode):
            value = self._pairs(found, path, depth)
        elif isinstance(found, yaml.SequenceNode):
            value = [
                self.read(child, f"{path}.{number}" if path else str(number), depth + 1)
                for number, child in enumerate(found.value)
            ]
        else:
            assert isinstance(found, yaml.ScalarNode)
            text = str(found.value)
            value = self._scalar(found, text, path)
        if found.tag.removeprefix(_TAG) not in _KNOWN:
            self._tell(at, path, f"the tag {found.tag} means nothing here")
        return Node(value, text, at, at if key_at is None else key_at, at, path, self.document)

    def _pairs(self, found: MappingNode, path: str, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, child in found.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            at = key.start_mark.index
            if not isinstance(key, yaml.ScalarNode):
                self._tell(at, path, "a key is one word or text")
                continue
            inner = f"{path}.{name}" if path else name
            if key.tag == f"{_TAG}merge":
                self._merge(child, path, depth, merged)
                continue
            node = self.read(child, inner, depth + 1, at)
            if name in children:
                first = children[name].key_place
                self._tell(
                    at,
                    inner,
                    f"key '{name}' is given twice",
                    f"it stands first in line {first.line}, column {first.column}; keep one",
                )
            else:
                children[name] = node
        return {**merged, **children}

    def _merge(self, child: yaml.Node, path: str, depth: int, merged: dict[str, Node]) -> None:
        parts = child.value if isinstance(child, yaml.SequenceNode) else [child]
        for part in parts:
            node = self.read(part, path, depth + 1)
            if not isinstance(node.value, dict):
                self._tell(node.at, path, "'<<' takes a mapping, or a list of such")
            for key, inner in node.items():
                merged.setdefault(key, inner)

    def _scalar(self, found: yaml.ScalarNode, text: str, path: str) -> Value:
        match found.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if text.lower() in _BOOLS:
                return _BOOLS[text.lower()]
            case "int" if _INTEGER.fullmatch(text) and len(text) < 4000:
                return int(text.replace("_", ""))
            case "float" if re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?", text):
                return float(text)
            case "binary":
                self._tell(found.start_mark.index, path, "binary data has no place here", "write it as text")
        return text

    def _tell(self, at: int, path: str, what: str, hint: str = "") -> None:
        self.document.problems.append(Problem(self.document.place(at, path), what, hint))
