"""The scalars of Hjson, and where each of them ends; `hjson_reader.py` reads what holds them.

Hjson read with positions: every value knows its line, its column and the keys that lead to it.

The values are those of hjson-py 3.1, which tests compare this reader with, except that

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

from stalker.config.syntax.document import Document, Node, Value
from stalker.model.diagnostics import Problem

DIGITS_MAX = 4000
"""Python refuses to read integers of more than 4300 digits."""

_GAP = re.compile(r"(?:[ \t\n\r]++|#[^\r\n]*+|//[^\r\n]*+|/\*.*?\*/)*+", re.DOTALL)
_REST_OF_LINE = re.compile(r"[^\r\n]*+")
_WORD = re.compile(r"(null|true|false)[^\S\r\n]*+(?=[,}\]#\r\n]|//|/\*|\Z)")
_NUMBER = re.compile(
    r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)[\t ]*+(?=[,}\]#\r\n]|//|/\*|\Z)"
)
_QUOTED = {
    '"': re.compile(r'[^"\\\x00-\x1f]*+(?:\\(?:["\'\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'),
    "'": re.compile(r"[^'\\\x00-\x1f]*+(?:\\(?:[\"'\\/bfnrt]|u[0-9a-fA-F]{4})[^'\\\x00-\x1f]*+)*+"),
}
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u(.{4})|(.))")
HALF_PAIR = re.compile("[\ud800-\udfff]")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_MARK = re.compile(r"[\[\]{},]")
_COMMENT = re.compile(r"[ \t](?:#|//|/\*)")
_LOOKS_LIKE_KEY = re.compile(r"[A-Za-z_][\w.-]*\s*:(?:\s|$)")


class Broken(Exception):
    """The syntax is broken at an offset; caught in `hjson_reader.py` alone."""

    def __init__(self, at: int, path: str, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.at, self.path, self.what, self.hint = at, path, what, hint


class Scalars:
    """One pass over a document by offsets; `read_*` take an offset and return the one behind.

    `end` is where reading ends: at the end of the text, and with `in_line` at the end of the line,
    while a mapping or list is read that is closed on the line on which it was opened. `slips` say
    what kept others from being read in this way, by the offset of their opening bracket; at the end
    of the line it is that they go on.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.end = len(document.text)
        self.in_line = False
        self.slips: dict[int, Broken] = {}
        self.line = (0, -1)

    def skip(self, at: int) -> int:
        """Return where blanks and comments end."""
        found = _GAP.match(self.text, at, self.end)
        assert found is not None
        return found.end()

    def line_end(self, at: int) -> int:
        """Return where the line of an offset ends; a line of many brackets is searched once."""
        begin, end = self.line
        if not begin <= at <= end:
            found = _REST_OF_LINE.match(self.text, at)
            assert found is not None
            self.line = (at, found.end())
        return self.line[1]

    def fail(self, at: int, path: str, what: str, hint: str = "") -> NoReturn:
        """Stop reading."""
        raise Broken(at, path, what, hint)

    def fail_unended(self, at: int, path: str, what: str, hint: str) -> NoReturn:
        """Fail on what may have several lines and does not end: in a line that is not a slip."""
        self.fail(self.end if self.in_line else at, path, what, hint)

    def shown(self, at: int) -> str:
        """Return the character at an offset as messages show it."""
        if at >= self.end:
            return "the end of the file"
        return f"'{self.text[at]}'" if self.text[at].isprintable() else repr(self.text[at])

    def read_quoted(self, at: int, path: str) -> tuple[str, int]:
        """Read text between quotes of either kind, as value or key."""
        quote = self.text[at]
        found = _QUOTED[quote].match(self.text, at + 1, self.end)
        assert found is not None
        end = found.end()
        if not self.text.startswith(quote, end):
            self.fail_quoted(at, end, path)
        raw = found[0]
        if "\\" not in raw:
            return raw, end + 1
        value = _ESCAPE.sub(_unescape, raw)
        if HALF_PAIR.search(value):
            self.fail(at, path, "half of a surrogate pair, which is not a character")
        return value, end + 1

    def fail_quoted(self, at: int, end: int, path: str) -> NoReturn:
        """Return why quoted text cannot go on at `end`."""
        if end >= self.end or self.text[end] in "\r\n":
            self.fail(
                at,
                path,
                "quoted text that does not end on its line",
                "close the quotes; text of several lines stands between ''' and '''",
            )
        if self.text[end] == "\\":
            self.fail(
                end,
                path,
                f"'{self.text[end : end + 2]}' is not an escape",
                "write \\\\ for a backslash, or use '''",
            )
        name = "a tab" if self.text[end] == "\t" else f"the control character {self.text[end]!r}"
        hint = "write it as \\t" if self.text[end] == "\t" else f"write it as \\u{ord(self.text[end]):04x}"
        self.fail(end, path, f"{name} inside quoted text", hint)

    def read_block(self, at: int, key_at: int, path: str) -> tuple[Node, int]:
        """Read `'''` text: its lines lose as many blanks as are before the opening `'''`."""
        text = self.text
        indent = at - (text.rfind("\n", 0, at) + 1)
        begin = at + 3
        while text[begin : begin + 1] and text[begin] in " \t\r":
            begin += 1
        if text.startswith("\n", begin):
            begin += 1
            lines_begin = True
        else:
            lines_begin = False
        end = text.find("'''", begin, self.end)
        if end < 0:
            self.fail_unended(at, path, "''' text that never ends", "close it with '''")
        lines = text[begin:end].split("\n")
        head = re.compile(f"[ \\t\\r]{{0,{indent}}}") if indent else None
        if head is not None:
            first = [head.sub("", lines[0], count=1)] if lines_begin else [lines[0]]
            lines = first + [head.sub("", line, count=1) for line in lines[1:]]
        value = "\n".join(lines).replace("\r", "")
        value = value.removesuffix("\n")
        return Node(value, value, at, key_at, begin, path, self.document), end + 3

    def read_bare(self, at: int, key_at: int, path: str, opened_at: int) -> tuple[Node, int]:
        """Read null, true, false, a number, or text without quotes."""
        text = self.text
        if at >= self.end:
            self.fail(at, path, "the file ends where a value should stand")
        if text[at] in "}],:":
            self.fail(at, path, f"expected a value, found {self.shown(at)}", 'an empty text is written as ""')
        if text.startswith("/*", at):
            self.fail_unended(at, path, "a comment that never ends", "close it with */")
        word = _WORD.match(text, at, self.end)
        if word is not None:
            value = {"null": None, "true": True, "false": False}[word[1]]
            return Node(value, word[1], at, key_at, at, path, self.document), word.end()
        number = _NUMBER.match(text, at, self.end)
        if number is not None:
            return self.read_number(number, at, key_at, path), number.end()
        end = self.bare_end(at, path)
        node = Node(text[at:end].strip(), text[at:end].strip(), at, key_at, at, path, self.document)
        self.doubt(node, opened_at)
        return node, end

    def bare_end(self, at: int, path: str) -> int:
        """Return where text without quotes ends.

        That is the end of its line; in a mapping or list of one line it is the next comma or closing
        bracket, but for those between brackets of the text's own: `{ A: x{1,2}, B: y }`.
        """
        if not self.in_line:
            return self.line_end(at)
        depth = 0
        for mark in _MARK.finditer(self.text, at, self.end):
            if mark[0] in "{[":
                depth += 1
            elif not depth:
                return mark.start()
            elif mark[0] in "}]":
                depth -= 1
        return self.fail(self.end, path, "text that nothing ends on this line")

    def read_number(self, number: re.Match[str], at: int, key_at: int, path: str) -> Node:
        """Return a number, whole where its value is, with its digits as written."""
        written = number[1] + number[2]
        if len(written) > DIGITS_MAX:
            self.fail(at, path, f"a number of {len(written)} digits")
        value: int | float
        if number[2]:
            value = float(written)
            if abs(value) < 1e10 and value == int(value):
                value = int(value)
        else:
            value = int(written)
        return Node(value, written, at, key_at, at, path, self.document)

    def doubt(self, node: Node, opened_at: int) -> None:
        """Warn of text without quotes that holds more than its writer may have meant.

        `opened_at` is where the mapping or list around it was opened, -1 where nothing was.
        """
        bare = node.text
        shown = f"this value is '{bare if len(bare) <= 60 else bare[:57] + '...'}'"
        on_this_line = opened_at >= 0 and "\n" not in self.text[opened_at : node.at]
        if not self.in_line and on_this_line and any(mark in bare for mark in "},]"):
            remedy = "put it in quotes, or each key on a line of its own"
            slip = self.slips.get(opened_at)
            if slip is not None and slip.at < self.line_end(node.at):
                column = self.document.place(slip.at).column
                remedy = f"behind it, in column {column}: {slip.what}; {remedy}"
            self.warn(node, f"text without quotes goes to the end of the line: {shown}", remedy)
        elif _COMMENT.search(bare):
            self.warn(
                node,
                f"a comment behind text without quotes is part of it: {shown}",
                "put the text in quotes, or the comment on a line of its own",
            )
        elif not self.in_line and bare[-1:] in {",", "}", "]"} and _ends_with_loose_mark(bare):
            self.warn(
                node,
                f"text without quotes goes to the end of the line: {shown}",
                f"put the '{bare[-1]}' on the next line, or the text in quotes"
                if bare[-1] != ","
                else "leave the comma out, or put the text in quotes",
            )
        elif _LOOKS_LIKE_KEY.match(bare) and "\n" in self.text[node.key_at : node.at]:
            self.warn(
                node,
                f"no value on the line of its key, so the next line is the value: '{bare[:60]}'",
                "an empty text is written as ''",
            )

    def warn(self, node: Node, what: str, remedy: str) -> None:
        """Add a warning about a value."""
        self.document.problems.append(Problem(node.place, what, remedy, is_warning=True))


def _unescape(found: re.Match[str]) -> str:
    high, low, code, char = found.groups()
    if high:
        return chr(0x10000 + (((int(high, 16) - 0xD800) << 10) | (int(low, 16) - 0xDC00)))
    if code:
        return chr(int(code, 16))
    return _ESCAPED.get(char, char)


def _ends_with_loose_mark(text: str) -> bool:
    """Return whether text ends with a comma, or with more closing brackets than it has opening ones."""
    if text.endswith(","):
        return True
    depth = 0
    for mark in _MARK.findall(text):
        depth += (mark in "{[") - (mark in "}]")
        if depth < 0:
            return True
    return False


DEPTH_MAX = 100

_KEY = re.compile(r"([^ \t\n\r{}\[\],:]++)[ \t\n\r]*+:")


def read_hjson(text: str, file: str) -> Document:
    """Read a document; never raises.

    Only the first syntax error is reported, since all that follows hangs on it; keys given twice
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
                f"'{line.split(':')[0].strip()}' is not a key",
                "quote keys that hold blanks or one of {}[],",
            )
        self.fail(
            at,
            path,
            f"expected 'key: value', found '{line.strip()[:40]}'",
            "text of several lines stands between ''' and '''",
        )
