"""A Hjson file as read: values that know their line, their column and the keys that lead to them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stalker.model.diagnostics import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = None | bool | int | float | str | list["Node"] | dict[str, "Node"]


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it stands.

    `text` is a scalar as written, without quotes; empty for lists and mappings. `at`, `key_at` and
    `body_at` are offsets into the document: of the value, of its key (of the value where it has
    none), and of the first character of its text.
    """

    value: Value
    text: str
    at: int
    key_at: int
    body_at: int
    path: str
    document: Document

    @property
    def place(self) -> Place:
        """Where the value stands."""
        return self.document.place(self.at, self.path)

    @property
    def key_place(self) -> Place:
        """Where its key stands."""
        return self.document.place(self.key_at, self.path)

    @property
    def body_line(self) -> int:
        """The line on which its text begins: for `'''` the one below."""
        return self.document.place(self.body_at).line

    def get(self, key: str) -> Node | None:
        """Return the value under `key` of a mapping, None when there is none or it is not a mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """Give keys and values of a mapping in the order of the file; nothing for other values."""
        if isinstance(self.value, dict):
            yield from self.value.items()

    @property
    def kind(self) -> str:
        """What the value is, in words."""
        if isinstance(self.value, bool):
            return "true or false"
        names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
        return names.get(type(self.value), "null")


@dataclass(slots=True, eq=False)
class Document:
    """A file as read: its root mapping, and what is wrong with it.

    `root` is None when the syntax is broken; then `problems` say where.
    """

    file: str
    text: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    @property
    def lack(self) -> str:
        """What is wrong with a file that holds no key; empty where it holds one."""
        if self.root is None or self.root.value != {}:
            return ""
        return "there is nothing in the file" if self.text.strip() else "the file is empty"

    def place(self, at: int, path: str = "") -> Place:
        """Return the place of an offset; columns count characters."""
        if not self._lines:
            self._lines = [0, *(found.end() for found in re.finditer("\n", self.text))]
        line = bisect_right(self._lines, at)
        return Place(self.file, line, at - self._lines[line - 1] + 1, path)


def walk(node: Node) -> Iterator[Node]:
    """Yield a value and all values in it."""
    yield node
    children = node.value.values() if isinstance(node.value, dict) else items_of(node)
    for child in children if isinstance(node.value, dict | list) else ():
        yield from walk(child)


def leave_out_nulls(node: Node) -> None:
    """Take keys without a value as not written, however deep."""
    for one in walk(node):
        if isinstance(one.value, dict):
            one.value = {key: child for key, child in one.value.items() if child.value is not None}


def plain(node: Node) -> Any:
    """Return the value without positions, as hjson-py gives it."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def text_of(node: Node | None) -> str:
    """Return a text, empty where there is none or another kind of value."""
    return node.value if node is not None and isinstance(node.value, str) else ""


def texts_of(node: Node | None) -> tuple[str, ...]:
    """Return one text or a list of them; other values are left out."""
    return tuple(child.value for child in items_of(node) if isinstance(child.value, str))


def items_of(node: Node | None) -> list[Node]:
    """Return the items of a list, any other value as the only one, nothing for None."""
    if node is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def is_true(node: Node | None) -> bool:
    """Return whether a value is there and is `true`."""
    return node is not None and node.value is True
