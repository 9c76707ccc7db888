"""The kinds of values that files are declared with; `tree.py` and `card.py` declare the files themselves.

One declaration serves four times: `check` compares a document with it, `values` binds what is right to the
fields of a dataclass, `json_schema.py` prints it for editors, and the tables of docs/reference are made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stalker.config.syntax.document import items_of
from stalker.config.syntax.report import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
"""A key of this form is a variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What any declaration can say of the value that is made of it.

    `read` converts the text and raises ValueError where that is not possible; `field` is the dataclass's,
    by default the key. `of` names the kinds of the mapping that have the key, by default all; `default` says what
    holds where the key is missing.
    """

    read: Callable[[str], Any] | None = None
    field: str = ""
    of: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Text(_Declared):
    """Text; a number is refused: its leading zeros would be lost."""

    help: str = ""
    pattern: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scalar(_Declared):
    """Text, a number, true or false: what a variable can be; taken as written."""

    help: str = ""


@dataclass(frozen=True, slots=True)
class Flag(_Declared):
    """True or false."""

    help: str = ""


@dataclass(frozen=True, slots=True)
class Whole(_Declared):
    """A whole number between two bounds."""

    help: str = ""
    minimum: int = 0
    maximum: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Anything(_Declared):
    """Any value; something else checks it."""

    help: str = ""


@dataclass(frozen=True, slots=True)
class Items(_Declared):
    """A list; with `or_one` a single item is a list of one. Bound, each value is there once.

    An item that `read` makes a tuple of counts as its parts.
    """

    item: Shape
    help: str = ""
    or_one: bool = False


@dataclass(frozen=True, slots=True)
class Keys(_Declared):
    """A mapping with known keys.

    `variables` allows keys in upper case; `others` is the shape under any other key, None when other
    keys are errors. `only_mappings` narrows `others` to keys that hold a mapping, so that a slip in
    a plain key is reported as an unknown key.
    """

    keys: Mapping[str, Shape] = field(default_factory=dict)
    help: str = ""
    required: tuple[str, ...] = ()
    variables: bool = False
    others: Shape | None = None
    only_mappings: bool = False
    others_are: str = ""


@dataclass(frozen=True, slots=True)
class Either(_Declared):
    """One of several shapes, distinguished by the kind of value (text, mapping, list, ...)."""

    shapes: tuple[Shape, ...]
    help: str = ""


@dataclass(frozen=True, slots=True)
class Named(_Declared):
    """A shape that stands elsewhere under a name; for those that hold themselves."""

    name: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Options(_Declared):
    """DOCKER_OPTS: `docker_opts.py` is its table."""

    help: str = ""


Shape = Text | Scalar | Flag | Whole | Anything | Items | Keys | Either | Named | Options


def check(node: Node, shape: Shape, named: Mapping[str, Shape], report: Report) -> bool:
    """Report where a value departs from its shape; return whether its own kind is right.

    Each value that is wrong is reported once; what is below it is not looked at.
    """
    if isinstance(shape, Named):
        return check(node, named[shape.name], named, report)
    if isinstance(shape, Either):
        fitting = next((s for s in shape.shapes if _fits(node, s, named)), None)
        if fitting is not None:
            return check(node, fitting, named, report)
        return _refuse(node, shape, named, report)
    if isinstance(shape, Items) and shape.or_one and not isinstance(node.value, list):
        return check(node, shape.item, named, report)
    if not _fits(node, shape, named):
        return _refuse(node, shape, named, report)
    if isinstance(shape, Items):
        assert isinstance(node.value, list)
        for child in node.value:
            check(child, shape.item, named, report)
    elif isinstance(shape, Keys):
        _check_keys(node, shape, named, report)
    elif isinstance(shape, Text):
        return _check_text(node, shape, report)
    elif isinstance(shape, Whole):
        assert isinstance(node.value, int)
        if not shape.minimum <= node.value <= shape.maximum:
            report.problem(
                node.place, f"must lie between {shape.minimum} and {shape.maximum}, is {node.text}"
            )
            return False
    return True


def values(
    node: Node | None, keys: Mapping[str, Shape], report: Report, *, without: Container[str] = ()
) -> dict[str, Any]:
    """Return the fields that a checked mapping gives: of the keys that are there and right.

    What is missing or wrong is left to the defaults of the dataclass. `without` are keys that their reader
    converts itself.
    """
    found: dict[str, Any] = {}
    for key, child in node.items() if node is not None else ():
        if key in keys and key not in without:
            value = bind(child, keys[key], report)
            if value is not None:
                found[keys[key].field or key] = value
    return found


def bind(node: Node | None, shape: Shape, report: Report) -> Any:
    """Return the value of a checked node; None where it is missing or wrong, which `check` or this reports."""
    if node is None:
        return None
    for one in shape.shapes if isinstance(shape, Either) else (shape,):
        if _fits(node, one, {}):
            return _bind(node, one, report)
    return None


def _bind(node: Node, shape: Shape, report: Report) -> Any:
    if shape.read is not None:
        try:
            return shape.read(node.text)
        except ValueError as error:
            report.refused(node.place, error)
            return None
    match shape:
        case Items():
            found: dict[Any, None] = {}
            for child in items_of(node):
                value = bind(child, shape.item, report)
                found |= dict.fromkeys(
                    value if isinstance(value, tuple) else () if value is None else (value,)
                )
            return tuple(found)
        case Keys():
            return values(node, shape.keys, report)
        case Scalar():
            return node.text
        case Text():
            return node.value if not shape.allowed or node.value in shape.allowed else None
        case _:
            return node.value


def _check_text(node: Node, shape: Text, report: Report) -> bool:
    if shape.allowed and node.text not in shape.allowed:
        report.problem(
            node.place, f"'{node.text}' is not possible here", did_you_mean(node.text, shape.allowed)
        )
        return False
    if shape.pattern and not re.fullmatch(shape.pattern, node.text):
        report.problem(node.place, f"'{node.text}' is not of the form {shape.pattern}")
        return False
    return True


def _check_keys(node: Node, shape: Keys, named: Mapping[str, Shape], report: Report) -> None:
    for key, child in node.items():
        known = shape.keys.get(key)
        if known is not None:
            check(child, known, named, report)
        elif shape.variables and is_variable(key):
            check_variable(key, child, report)
        elif shape.others is not None and (not shape.only_mappings or isinstance(child.value, dict)):
            check(child, shape.others, named, report)
        else:
            _refuse_key(key, child, shape, report)
    for key in shape.required:
        if node.get(key) is None:
            report.problem(node.place, f"the key '{key}' is missing")


def check_kind(node: Node, keys: Mapping[str, Shape], kind: str, report: Report) -> None:
    """Report the keys of a mapping that do not go with its kind."""
    for key, child in node.items():
        kinds = keys[key].of.split() if key in keys else []
        if kinds and kind not in kinds:
            what = f"'{key}' does not go with {kind}"
            report.problem(child.key_place, what, f"it goes with {' and '.join(kinds)}")


def formed(pattern: str, what: str) -> Callable[[str], str]:
    """Return a conversion that takes texts of one form and refuses others as no `what`."""
    form = re.compile(pattern)

    def read(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"'{text}' is not a valid {what}")
        return text

    return read


def is_variable(key: str) -> bool:
    """Return whether a key is meant as a variable: in upper case, whether or not it can be one."""
    return key == key.upper() and not key.isdigit()


def _refuse_key(key: str, child: Node, shape: Keys, report: Report) -> None:
    hint = did_you_mean(key, shape.keys, "keys")
    if not hint.startswith("did"):
        more = [hint, "a variable is in UPPER CASE" if shape.variables else "", shape.others_are]
        hint = "; ".join(part for part in more if part)
    report.problem(child.key_place, f"unknown key '{key}'", hint)


def check_variable(name: str, node: Node, report: Report) -> bool:
    """Report a variable whose name or value cannot be one; return whether it can."""
    if not VARIABLE.match(name):
        report.problem(
            node.key_place,
            f"'{name}' cannot be a variable's name",
            "names are A-Z, 0-9 and _, not beginning with a digit",
        )
        return False
    if isinstance(node.value, dict | list) or node.value is None:
        report.problem(
            node.place,
            f"a variable is text, a number, true or false, not {node.kind}",
            "an empty text is written as ''"
            if node.value is None
            else "several words are one text with blanks",
        )
        return False
    if "\0" in node.text:
        report.problem(node.place, "a variable cannot hold the character NUL")
        return False
    return True


def _fits(node: Node, shape: Shape, named: Mapping[str, Shape]) -> bool:
    """Return whether the kind of a value is that of a shape; its content is not looked at."""
    value = node.value
    match shape:
        case Text():
            return isinstance(value, str)
        case Scalar():
            return isinstance(value, str | int | float | bool)
        case Flag():
            return isinstance(value, bool)
        case Whole():
            return isinstance(value, int) and not isinstance(value, bool)
        case Items():
            return isinstance(value, list) or (shape.or_one and _fits(node, shape.item, named))
        case Keys() | Options():
            return isinstance(value, dict)
        case Either():
            return any(_fits(node, one, named) for one in shape.shapes)
        case Named():
            return _fits(node, named[shape.name], named)
        case _:
            return True


def _refuse(node: Node, shape: Shape, named: Mapping[str, Shape], report: Report) -> bool:
    wanted = kind_in_words(shape, named)
    hint = ""
    if isinstance(shape, Flag) and node.text in {"true", "false"}:
        hint = f"write {node.text} without quotes"
    elif isinstance(shape, Text) and node.text:
        hint = f'write "{node.text}"'
    elif isinstance(shape, Items) and isinstance(node.value, str) and node.text:
        hint = f'write ["{node.text}"]'
    report.problem(node.place, f"must be {wanted}, is {node.kind}", hint)
    return False


def kind_in_words(shape: Shape, named: Mapping[str, Shape]) -> str:
    """Return what kind of value a shape wants."""
    match shape:
        case Text():
            return "text"
        case Scalar():
            return "text, a number, true or false"
        case Flag():
            return "true or false"
        case Whole():
            return "a whole number"
        case Items(or_one=True):
            return f"{kind_in_words(shape.item, named)}, or a list of such"
        case Items():
            return "a list"
        case Keys() | Options():
            return "a mapping"
        case Either():
            return " or ".join(kind_in_words(one, named) for one in shape.shapes)
        case Named():
            return kind_in_words(named[shape.name], named)
        case _:
            return "anything"
