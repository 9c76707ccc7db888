"""The policy file: YAML as the original kantoo-devkit reads it, with all problems reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stalker.config.schema.types import Either, Flag, Items, Keys, Shape, Text, Whole, check
from stalker.config.syntax.document import Node, is_true, leave_out_nulls
from stalker.config.syntax.report import Report
from stalker.errors import FilesError
from stalker.fetch.cache.policy import DEFAULT_MAX_SIZE_BYTES, STRATEGIES, Filter, Limits, Policy, Section
from stalker.io.units import decimal_bytes, duration_s
from stalker.model.diagnostics import Place, Problem

FILE_NAME = "policy.yaml"

_AMOUNT = Either((Whole(maximum=2**62), Text()))
_LIMITS: dict[str, Shape] = {
    "max_size": _AMOUNT,
    "max_age": _AMOUNT,
    "max_num": Whole(),
    "check_after": _AMOUNT,
    "keep_identified_versions": Whole(),
    "eviction": Text(allowed=STRATEGIES),
}
_FILTER = Keys({"pattern": Text(), "ignore": Flag(), **_LIMITS}, required=("pattern",))
_SECTION = Keys({"enabled": Flag(), **_LIMITS, "filters": Items(_FILTER)})
POLICY = Keys({"enabled": Flag(), **_LIMITS, "oci_images": _SECTION, "files": _SECTION})

_BOUNDED = ("max_size", "max_age", "max_num")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy as read, and where each value was written, by its path."""

    policy: Policy = field(default_factory=Policy)
    places: Mapping[str, Place] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Each value as it was written."""


def load_policy(path: Path) -> PolicyFile:
    """Read a policy file; the default policy when there is none. Raises FilesError with all problems."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return PolicyFile()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise FilesError([Problem(Place(str(path)), f"cannot be read: {said}")]) from error
    return parse_policy(text, str(path))


def parse_policy(text: str, file: str) -> PolicyFile:
    """Turn the text of a policy file into a policy. Raises FilesError with all problems."""
    from stalker.config.syntax.yaml import read_yaml  # late: YAML takes 20 ms

    document = read_yaml(text, file)
    report = Report()
    report.take(document.problems)
    root = document.root
    if root is None:
        raise FilesError(report.errors())
    leave_out_nulls(root)
    reader = _Reader(report)
    policy = reader.policy(root) if check(root, POLICY, {}, report) else Policy()
    if report.has_errors:
        raise FilesError(report.errors(), "docs/reference/cache.md lists the keys")
    return PolicyFile(policy, reader.places, reader.texts)


class _Reader:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.places: dict[str, Place] = {}
        self.texts: dict[str, str] = {}

    def policy(self, root: Node) -> Policy:
        sections = {name: self.section(root.get(name), [root]) for name in ("oci_images", "files")}
        limits = self.limits(root, [])
        if root.get("max_size") is None:
            # A file that only limits its sections means what it says of them.
            inner = sum(section.limits.max_size_bytes or 0 for section in sections.values())
            most = max(DEFAULT_MAX_SIZE_BYTES, inner)
            limits = replace(limits, max_size_bytes=most)
        return Policy(self.flag(root, "enabled", default=True), limits, sections)

    def section(self, node: Node | None, outer: list[Node]) -> Section:
        if node is None or not isinstance(node.value, dict):
            return Section()
        listed = node.get("filters")
        filters = tuple(
            self.filter(one, [node, *outer])
            for one in (listed.value if listed is not None and isinstance(listed.value, list) else [])
        )
        return Section(self.flag(node, "enabled", default=True), self.limits(node, outer), filters)

    def filter(self, node: Node, outer: list[Node]) -> Filter:
        pattern = node.get("pattern")
        text = pattern.text if pattern is not None else ""
        if pattern is not None:
            self.note(pattern)
            try:
                re.compile(text, re.IGNORECASE)
            except (re.error, RecursionError, OverflowError) as error:
                self.report.problem(pattern.place, f"'{text}' is not a valid regular expression: {error}")
        return Filter(text, self.limits(node, outer), self.flag(node, "ignore", default=False))

    def limits(self, node: Node, outer: list[Node]) -> Limits:
        for key in _BOUNDED:
            self.check_bound(key, node, outer)
        eviction = node.get("eviction")
        if eviction is not None:
            self.note(eviction)
        return Limits(
            _whole(self.amount(node, "max_size")),
            self.amount(node, "max_age"),
            _whole(self.amount(node, "max_num")),
            self.amount(node, "check_after"),
            _whole(self.amount(node, "keep_identified_versions")),
            eviction.text if eviction is not None else "lru",
        )

    def check_bound(self, key: str, node: Node, outer: list[Node]) -> None:
        """Tell a limit that is wider than the next one around it."""
        own = self.amount(node, key)
        around = next((one for one in outer if _quiet(one, key)), None)
        most = _quiet(around, key) if around is not None else None
        if own and most and own > most and around is not None:
            child, wider = node.get(key), around.get(key)
            assert child is not None
            assert wider is not None
            self.report.problem(
                child.place,
                f"{child.text} is more than {wider.place.path} allows, which is {wider.text} (line {wider.place.line})",
                "what is inside lies within what is around it",
            )

    def amount(self, node: Node, key: str) -> float | None:
        child = node.get(key)
        if child is None:
            return None
        self.note(child)
        try:
            return _amount(child, key)
        except ValueError as error:
            self.report.problem(child.place, str(error))
            return None

    def flag(self, node: Node, key: str, *, default: bool) -> bool:
        child = node.get(key)
        if child is None:
            return default
        self.note(child)
        return is_true(child)

    def note(self, node: Node) -> None:
        self.places[node.place.path] = node.place
        self.texts[node.place.path] = node.text


_PARSERS: Mapping[str, Callable[[str], float]] = {
    "max_size": decimal_bytes,
    "max_age": duration_s,
    "check_after": duration_s,
}


def _amount(node: Node, key: str) -> float | None:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return _PARSERS[key](node.value) if isinstance(node.value, str) and key in _PARSERS else None


def _quiet(node: Node, key: str) -> float | None:
    child = node.get(key)
    try:
        return _amount(child, key) if child is not None else None
    except ValueError:
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
