"""What is new between two root file systems, in the words of a release: packages, rights, users, units, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stalker.history.versions import DebVersion
from stalker.io.units import size_text
from stalker.model.escaping import shown
from stalker.rootfs.diff import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stalker.history.system import System

SECTIONS = {
    "packages": "Packages",
    "rights": "Files that give rights",
    "users": "Users and groups",
    "units": "Services enabled",
    "sources": "Where packages come from",
    "configuration": "Configuration that differs from its package",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One difference: what it is about, what it was and what it is now; empty where there was or is none.

    `note` says more, as how a package's size changed.
    """

    name: str
    old: str = ""
    new: str = ""
    note: str = ""

    @property
    def did(self) -> str:
        """Added, removed or changed; a package's version goes up or down."""
        return "added" if not self.old else "removed" if not self.new else "changed"


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences by section of `SECTIONS`, and how many paths and bytes differ."""

    sections: dict[str, tuple[Item, ...]]
    paths_added: int
    paths_changed: int
    paths_removed: int
    old_bytes: int
    new_bytes: int

    @property
    def is_empty(self) -> bool:
        """Return whether the two are the same."""
        return not (
            self.paths_added or self.paths_changed or self.paths_removed or any(self.sections.values())
        )


def changes_between(
    old: System, new: System, old_packages: Mapping[str, str], new_packages: Mapping[str, str]
) -> Changes:
    """Compare two systems; packages are versions by name."""
    sizes = old.installed_bytes, new.installed_bytes
    paths = [one.kind for one in compare(old.entries, new.entries)]
    return Changes(
        {
            "packages": tuple(
                Item(one.name, one.old, one.new, _package_note(one, *sizes))
                for one in _items(old_packages, new_packages)
            ),
            "rights": tuple(_items(old.rights, new.rights)),
            "users": tuple(_items(old.accounts, new.accounts)),
            "units": _of_sets(old.units, new.units),
            "sources": _of_sets(old.sources, new.sources),
            "configuration": _of_sets(old.changed_configuration, new.changed_configuration),
        },
        paths.count("A"),
        paths.count("C"),
        paths.count("D"),
        old.size_bytes,
        new.size_bytes,
    )


def _items(old: Mapping[str, str], new: Mapping[str, str]) -> list[Item]:
    return [
        Item(name, old.get(name, ""), new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _of_sets(old: Iterable[str], new: Iterable[str]) -> tuple[Item, ...]:
    before, after = set(old), set(new)
    return tuple(
        Item(name, "yes" if name in before else "", "yes" if name in after else "")
        for name in sorted(before ^ after)
    )


def _package_note(item: Item, old_bytes: Mapping[str, int], new_bytes: Mapping[str, int]) -> str:
    notes = []
    if item.old and item.new and DebVersion(item.new) < DebVersion(item.old):
        notes.append("older")
    difference = new_bytes.get(item.name, 0) - old_bytes.get(item.name, 0)
    if difference:
        notes.append(f"{'+' if difference > 0 else '-'}{size_text(abs(difference))}")
    return ", ".join(notes)


# Shown


def as_text(changes: Changes) -> str:
    """Return changes for people: a block a section, `+`, `-` and `~` before each name."""
    lines = []
    for section, title in SECTIONS.items():
        items = changes.sections[section]
        if items:
            lines += [f"{title}:", *(f"  {_line(item)}" for item in items), ""]
    return "\n".join([*lines, _sizes(changes)])


def _line(item: Item) -> str:
    mark = {"added": "+", "removed": "-", "changed": "~"}[item.did]
    value = f"{item.old} -> {item.new}" if item.old and item.new else item.new or item.old
    note = f"  ({item.note})" if item.note else ""
    return shown(f"{mark} {item.name}{'' if value == 'yes' else f'  {value}'}{note}")


def _sizes(changes: Changes) -> str:
    counts = (
        f"{changes.paths_added} paths added, {changes.paths_changed} changed, {changes.paths_removed} removed"
    )
    return f"{counts}; {size_text(changes.old_bytes)} -> {size_text(changes.new_bytes)}"


def as_markdown(changes: Changes, old: str, new: str) -> str:
    """Return changes as a page of release notes."""
    lines = [f"# Changes from {_escaped(old)} to {_escaped(new)}", ""]
    for section, title in SECTIONS.items():
        items = changes.sections[section]
        if not items:
            continue
        lines += [f"## {title}", ""]
        if section == "packages":
            lines += ["| package | before | after | |", "|---|---|---|---|"]
            lines += [
                f"| {' | '.join(map(_escaped, (one.name, one.old, one.new, one.note)))} |" for one in items
            ]
        else:
            lines += [f"- {one.did}: {_escaped(_value(one))}" for one in items]
        lines.append("")
    return "\n".join([*lines, f"{_sizes(changes)}."])


def _value(item: Item) -> str:
    if "yes" in {item.old, item.new}:
        return item.name
    return (
        f"{item.name}: {item.old} -> {item.new}"
        if item.old and item.new
        else f"{item.name}: {item.new or item.old}"
    )


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|~" else char for char in shown(text))


def as_document(changes: Changes) -> dict[str, Any]:
    """Return changes for programs; the keys are a contract with them."""

    def items(found: Sequence[Item]) -> list[dict[str, str]]:
        return [
            {"name": one.name, "did": one.did, "old": one.old, "new": one.new, "note": one.note}
            for one in found
        ]

    return {
        **{section: items(changes.sections[section]) for section in SECTIONS},
        "paths": {
            "added": changes.paths_added,
            "changed": changes.paths_changed,
            "removed": changes.paths_removed,
        },
        "size_bytes": {"old": changes.old_bytes, "new": changes.new_bytes},
    }
