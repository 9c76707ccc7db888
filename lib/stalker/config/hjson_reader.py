"""Hjson read with positions: every value knows its line, its column and the keys that lead to it.

The values are those of hjson-py 3.1, which tests hold this reader against, except that

- text without quotes in a mapping or list that is closed on the line on which it was opened ends
  there before the next comma or closing bracket: `{ OS: debian, ARCH: arm }` is what it looks like.
  hjson-py takes the rest of the line for text, bracket and all. A document that it accepts comes out
  otherwise only if it closes that bracket once more on a later line,
- a key given twice is a problem (hjson-py takes the last one silently),
- numbers keep their text as written, so that `1.10` stays `1.10`,
- `'''` on the first line of a file is indented like anywhere else (hjson-py counts wrongly there),
- half of a surrogate pair is a problem: it could not be written to any file,
- nesting past `DEPTH_MAX` is a problem (hjson-py ends in a RecursionError).

Everywhere else text without quotes goes to the end of its line, comments, commas and brackets
included: that is Hjson's own rule, and where it looks like a slip a warning says so. In a line whose
brackets match but which cannot be read as one (`{ A: x, B y }`) that rule holds too, with a warning.
"""

from __future__ import annotations

import re
from typing import NoReturn

from stalker.config.document import Document, Node, Value
from stalker.config.hjson_scalars import Broken, Scalars
from stalker.model.places import Problem

DEPTH_MAX = 100

_KEY = re.compile(r"([^ \t\n\r{}\[\],:]++)[ \t\n\r]*+:")


def read_hjson(text: str, file: str) -> Document:
    """Read a document; never raises.

    Only the first slip in the syntax is told, since all that follows hangs on it; keys given twice
    are all told.
    """
    document = Document(file, text)
    reader = _Reader(document)
    try:
        document.root = reader.read_root()
    except Broken as error:
        # A value that swallowed its closing bracket is the likely cause of what broke below it.
        document.problems = [
            Problem(p.place, p.what, p.hint) if p.is_warning else p for p in document.problems
        ]
        document.problems.append(Problem(document.place(error.at, error.path), error.what, error.hint))
    return document


class _Reader(Scalars):
    """Mappings and lists, and which of them are read as one line."""

    def read_root(self) -> Node:
        begin = 1 if self.text.startswith("\ufeff") else 0
        at = self.skip(begin)
        if at == self.end:
            return self.node({}, begin, begin, "")
        if self.text[at] in "{[":
            node, end = self.read_value(at, at, "", 0, -1)
            end = self.skip(end)
            if end < self.end:
                self.fail(end, "", f"{self.shown(end)} after the end of the document", self.too_many(end))
            return node
        children, _ = self.read_pairs(at, "", 0, -1, opened_at=None)
        return self.node(children, at, at, "")

    def node(self, value: Value, at: int, key_at: int, path: str) -> Node:
        return Node(value, "", at, key_at, at, path, self.document)

    def too_many(self, at: int) -> str:
        return f"one {self.shown(at)} too many?" if self.text[at] in "}]" else ""

    def read_value(self, at: int, key_at: int, path: str, depth: int, opened_at: int) -> tuple[Node, int]:
        """Read one value; `opened_at` is where the mapping or list around it was opened."""
        first = self.text[at : at + 1] if at < self.end else ""
        if first and first in "\"'":
            if self.text.startswith("'''", at):
                return self.read_block(at, key_at, path)
            value, end = self.read_quoted(at, path)
            return Node(value, value, at, key_at, at, path, self.document), end
        if first and first in "{[":
            if depth >= DEPTH_MAX:
                self.fail(
                    at, path, f"nested deeper than {DEPTH_MAX} levels", "files are not meant to be so deep"
                )
            return self.read_in_line(at, key_at, path, depth) or self.read_inner(at, key_at, path, depth)
        return self.read_bare(at, key_at, path, opened_at)

    def read_in_line(self, at: int, key_at: int, path: str, depth: int) -> tuple[Node, int] | None:
        """Read a mapping or list that is closed on its own line, None when this one is not.

        What cannot be read in this way is read once more by the general rule, and so is all that it
        was inside of; none of these is tried again, so a line is read twice at most.
        """
        if self.in_line or at in self.slips:
            return None
        whole, known = self.end, len(self.document.problems)
        line_end = self.line_end(at)
        if self.text.find("}" if self.text[at] == "{" else "]", at, line_end) < 0:
            return None
        self.end, self.in_line = line_end, True
        try:
            return self.read_inner(at, key_at, path, depth)
        except Broken:
            del self.document.problems[known:]
            return None
        finally:
            self.end, self.in_line = whole, False

    def read_inner(self, at: int, key_at: int, path: str, depth: int) -> tuple[Node, int]:
        children: Value
        try:
            if self.text[at] == "{":
                children, end = self.read_pairs(self.skip(at + 1), path, depth + 1, at, opened_at=at)
            else:
                children, end = self.read_items(at, path, depth + 1)
        except Broken as error:
            if self.in_line:
                self.slips[at] = error
            raise
        return self.node(children, at, key_at, path), end

    def read_pairs(
        self, at: int, path: str, depth: int, around: int, *, opened_at: int | None
    ) -> tuple[dict[str, Node], int]:
        """Read `key: value` up to the closing brace, or to the end where the root has no braces."""
        children: dict[str, Node] = {}
        text = self.text
        while True:
            if text.startswith("}", at) and opened_at is not None:
                return children, at + 1
            if at >= self.end:
                if opened_at is None:
                    return children, at
                opened = self.document.place(opened_at)
                self.fail(
                    at,
                    path,
                    "the file ends inside a mapping",
                    f"its '{{' of line {opened.line} is never closed",
                )
            key, key_at, at = self.read_key(at, path)
            inner = f"{path}.{key}" if path else key
            value_at = self.skip(at)
            child, at = self.read_value(value_at, key_at, inner, depth, around)
            if key in children:
                self.told_twice(key, children[key], child)
            else:
                children[key] = child
            at = self.skip(at)
            if text.startswith(",", at):
                at = self.skip(at + 1)

    def told_twice(self, key: str, first: Node, second: Node) -> None:
        self.document.problems.append(
            Problem(
                second.key_place,
                f"key '{key}' is given twice",
                f"it stands first in line {first.key_place.line}, column {first.key_place.column}; keep one",
            )
        )

    def read_items(self, opened_at: int, path: str, depth: int) -> tuple[list[Node], int]:
        children: list[Node] = []
        at = self.skip(opened_at + 1)
        while True:
            if self.text.startswith("]", at):
                return children, at + 1
            if at >= self.end:
                opened = self.document.place(opened_at)
                self.fail(
                    at, path, "the file ends inside a list", f"its '[' of line {opened.line} is never closed"
                )
            inner = f"{path}.{len(children)}" if path else str(len(children))
            child, at = self.read_value(at, at, inner, depth, opened_at)
            children.append(child)
            at = self.skip(at)
            if self.text.startswith(",", at):
                at = self.skip(at + 1)

    def read_key(self, at: int, path: str) -> tuple[str, int, int]:
        """Return the key, its offset, and the offset behind its colon."""
        text = self.text
        if text[at] in "\"'":
            key, end = self.read_quoted(at, path)
            end = self.skip(end)
            if not text.startswith(":", end):
                self.fail(end, path, f"expected ':' after the key '{key}', found {self.shown(end)}")
            return key, at, end + 1
        found = _KEY.match(text, at, self.end)
        if found is None:
            self.fail_key(at, path)
        return found[1], at, found.end()

    def fail_key(self, at: int, path: str) -> NoReturn:
        text = self.text
        if text.startswith("/*", at):
            self.fail_unended(at, path, "a comment that never ends", "close it with */")
        if text[at] == ":":
            self.fail(at, path, "':' without a key before it", 'an empty key is written as ""')
        if text[at] in "{}[],":
            self.fail(at, path, f"expected a key, found {self.shown(at)}", self.too_many(at))
        line = text[at : self.line_end(at)]
        if ":" in line:
            self.fail(
                at,
                path,
                f"'{line.split(':')[0].strip()}' is no key",
                "quote keys that hold blanks or one of {}[],",
            )
        self.fail(
            at,
            path,
            f"expected 'key: value', found '{line.strip()[:40]}'",
            "text of several lines stands between ''' and '''",
        )
