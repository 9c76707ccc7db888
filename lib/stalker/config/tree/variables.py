"""Variables: where each is set, and which setting a plugin sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stalker.config.schema.types import VARIABLE
from stalker.config.syntax.report import Report, did_you_mean
from stalker.model.diagnostics import Place
from stalker.model.tree import SecretSource
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.config.syntax.document import Node


class Setting(NamedTuple):
    """A variable's value and where it was set."""

    value: str
    place: Place


@dataclass(slots=True)
class Scope:
    """What the plugins of one stalk can inherit, stronger settings already over weaker ones.

    `is_open` is for a stalk file that is checked without a tree: anything counts as set. `asked`
    collects all names that plugins wanted, shared by the scopes of a tree.
    """

    settings: Mapping[str, Setting]
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    is_open: bool = False
    asked: set[str] = field(default_factory=set)

    def value(self, name: str, default: str = "") -> str:
        """Return a variable's value, `default` where it is not set."""
        self.asked.add(name)
        setting = self.settings.get(name)
        return default if setting is None else setting.value


def settings_of(node: Node | None, *, without: Iterable[str] = ()) -> dict[str, Setting]:
    """Return the variables among a mapping's keys; those that cannot be one are reported elsewhere."""
    return {
        key: Setting(child.text, child.key_place)
        for key, child in (node.items() if node is not None else ())
        if VARIABLE.match(key)
        and not isinstance(child.value, dict | list)
        and child.value is not None
        and key not in without
    }


def plugin_variables(node: Node, scope: Scope, report: Report) -> tuple[Variable, ...]:
    """Return the variables of a plugin, by name; `''` inherits."""
    found: list[Variable] = []
    for name, setting in sorted(settings_of(node).items()):
        scope.asked.add(name)
        if setting.value:
            found.append(Variable(name, setting.value, setting.place))
            continue
        secret = scope.secrets.get(name)
        inherited = scope.settings.get(name)
        if secret is not None:
            found.append(Variable(name, "", secret.place, secret=name))
        elif inherited is not None:
            found.append(Variable(name, inherited.value, inherited.place))
        elif scope.is_open:
            found.append(Variable(name, "", setting.place))
        else:
            near = did_you_mean(name, scope.settings)
            hint = near if near.startswith("did") else f"set it in the tree, or with --set {name}=VALUE"
            report.problem(setting.place, f"'' inherits, but nobody set {name}", hint)
    return tuple(found)
