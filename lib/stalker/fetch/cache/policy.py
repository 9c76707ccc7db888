"""What the cache may keep: limits for all of it, for files and images, and for sources by pattern.

Limits (`max_size`, `max_age`, `max_num`) hold at each level on its own, and the inner ones lie within
the outer ones. Of `check_after` and `keep_identified_versions` the innermost that is set holds: filter
over section over main. The first filter whose pattern is found in a source holds for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Strategy = Literal["oldest", "newest", "largest", "smallest", "lru"]
"""Which entries go first: added first or last, by size, or not used for the longest time."""

STRATEGIES: tuple[str, ...] = get_args(Strategy)

GIB = 1024**3
DEFAULT_MAX_SIZE_BYTES = 10 * GIB

SECTION_OF: Mapping[str, str] = {"image": "oci_images", "file": "files"}
"""The kind of an entry and its section in the policy file."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one level; None where none is set, and 0 sets none for sizes, ages and numbers."""

    max_size_bytes: int | None = None
    max_age_s: float | None = None
    max_num: int | None = None
    check_after_s: float | None = None
    keep_identified_versions: int | None = None
    eviction: str = "lru"


@dataclass(frozen=True, slots=True)
class Filter:
    """Limits for the sources that a pattern (a regular expression, in any case) is found in."""

    pattern: str
    limits: Limits = field(default_factory=Limits)
    ignore: bool = False

    def holds(self, source: str) -> bool:
        """Return whether the pattern is found in a source."""
        return re.search(self.pattern, source, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Section:
    """The limits for files, or for images."""

    enabled: bool = True
    limits: Limits = field(default_factory=Limits)
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """One level of the policy by the name that it has in its file: `files.filters.0`, empty for main."""

    name: str
    limits: Limits

    def key(self, key: str) -> str:
        """Return the path of one of its keys."""
        return f"{self.name}.{key}" if self.name else key


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for one source: its levels from the inside to the outside, and why it is not kept."""

    scopes: tuple[Scope, ...]
    refusal: str = ""

    @property
    def check_after_s(self) -> float:
        """For how long it is taken as fresh without asking."""
        return next((s.limits.check_after_s for s in self.scopes if s.limits.check_after_s is not None), 0.0)

    @property
    def kept_versions(self) -> tuple[str, int]:
        """How many identified versions stay, 0 for all, and the scope that says so."""
        for scope in self.scopes:
            if scope.limits.keep_identified_versions is not None:
                return scope.name, scope.limits.keep_identified_versions
        return "", 0

    def outlived(self, age_s: float) -> str:
        """Return the key whose age an entry has passed, empty when none."""
        for scope in self.scopes:
            if scope.limits.max_age_s and age_s > scope.limits.max_age_s:
                return scope.key("max_age")
        return ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole policy; what the original kantoo-devkit's policy file says."""

    enabled: bool = True
    limits: Limits = field(default_factory=lambda: Limits(max_size_bytes=DEFAULT_MAX_SIZE_BYTES))
    sections: Mapping[str, Section] = field(
        default_factory=lambda: {"oci_images": Section(), "files": Section()}
    )

    def ruling(self, kind: str, source: str) -> Ruling:
        """Return what holds for a source."""
        name = SECTION_OF[kind]
        section = self.sections[name]
        outer = (Scope(name, section.limits), Scope("", self.limits))
        if not self.enabled:
            return Ruling(outer, "the cache is switched off (enabled: false)")
        if not section.enabled:
            return Ruling(outer, f"not cached ({name}.enabled: false)")
        for number, one in enumerate(section.filters):
            if one.holds(source):
                inner = Scope(f"{name}.filters.{number}", one.limits)
                refusal = f"not cached ({inner.key('ignore')}: true)" if one.ignore else ""
                return Ruling((inner, *outer), refusal)
        return Ruling(outer)

    def scopes(self) -> Iterator[Scope]:
        """Give all levels, inner ones before outer ones."""
        for name, section in self.sections.items():
            for number, one in enumerate(section.filters):
                yield Scope(f"{name}.filters.{number}", one.limits)
            yield Scope(name, section.limits)
        yield Scope("", self.limits)
