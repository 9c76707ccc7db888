"""The policy file: YAML as the first tool reads it, with all that is wrong told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stalker.config.document import Node, is_true
from stalker.config.report import Report
from stalker.config.shape import Either, Flag, Items, Keys, Shape, Text, Whole, check
from stalker.errors import FilesError
from stalker.fetch.policy import DEFAULT_MAX_SIZE_BYTES, STRATEGIES, Filter, Limits, Policy, Section
from stalker.model.places import Place, Problem

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

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)(?:b|bytes?)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|y|years?)(?![a-z])",
    re.IGNORECASE,
)
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
    from stalker.config.yaml_reader import read_yaml  # late: YAML takes 20 ms

    document = read_yaml(text, file)
    report = Report()
    report.take(document.problems)
    root = document.root
    if root is None:
        raise FilesError(report.errors())
    _leave_out_empty(root)
    reader = _Reader(report)
    policy = reader.policy(root) if check(root, POLICY, {}, report) else Policy()
    if report.has_errors:
        raise FilesError(report.errors(), "docs/reference/cache.md lists the keys")
    return PolicyFile(policy, reader.places, reader.texts)


def parse_size(text: str) -> int:
    """Return bytes of `10GiB` (powers of 1024), `1G`, `2.4 GB` (of 1000), or a plain number.

    Raises:
        ValueError: it is none of these.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(f"'{text}' is no size: 10GiB, 500MB, 1G, or bytes")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def parse_span(text: str) -> float:
    """Return seconds of `30d`, `4w`, `1y`, `1d 12h`, or a plain number.

    Raises:
        ValueError: it is none of these.
    """
    plain = text.strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", plain):
        return float(plain)
    found = _SPAN.findall(plain)
    if not found or _SPAN.sub("", plain).strip(" ,"):
        raise ValueError(f"'{text}' is no duration: 30d, 4w, 1y, 12h, or seconds")
    return sum(float(count) * _UNITS_S[unit[0].lower()] for count, unit in found)


def _leave_out_empty(node: Node) -> None:
    """Take keys without a value as not written."""
    if isinstance(node.value, dict):
        node.value = {key: child for key, child in node.value.items() if child.value is not None}
    for child in node.value.values() if isinstance(node.value, dict) else ():
        _leave_out_empty(child)
    for child in node.value if isinstance(node.value, list) else ():
        _leave_out_empty(child)


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
                self.report.problem(pattern.place, f"'{text}' is no regular expression: {error}")
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
    "max_size": parse_size,
    "max_age": parse_span,
    "check_after": parse_span,
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
