"""Variables put into the arguments of a reusable plugin, before those are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from stalker.config.document import Node
from stalker.config.substitution import substitute
from stalker.model.tree import secret_marker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stalker.model.tree import Variable

_Some = TypeVar("_Some", bound=Node)
_BRACED = re.compile(r"\{([A-Z_][A-Z0-9_]*)\}")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_WORDS = {"true": True, "false": False}


@dataclass(slots=True, eq=False)
class Filled(Node):
    """A text that held variables, with their values put in.

    `origin` says for messages which variables they were and where they were set. `is_hidden`: the value
    is not known yet (a secret, or a stalk that is checked without a tree), so nothing can be held
    against it.
    """

    origin: str = ""
    is_hidden: bool = False

    def read_as(self, kind: str) -> Filled:
        """Return it as the file would have it: `2` and `true` without quotes, lines as a list or mapping.

        A list has one item a line, a mapping one `key=value` a line, as the script gets them.
        """
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        value: Any = None
        if kind == "integer" and _WHOLE.fullmatch(self.text):
            value = int(self.text)
        elif kind == "boolean":
            value = _WORDS.get(self.text)
        elif kind == "list":
            value = [self._with_text(line) for line in lines]
        elif kind == "mapping" and all("=" in line for line in lines):
            value = {key: self._with_text(text) for key, _, text in (line.partition("=") for line in lines)}
        return self if value is None else _copy(self, value=value)

    def _with_text(self, text: str) -> Filled:
        return _copy(self, value=text, text=text)


def fill(node: Node, variables: Mapping[str, Variable], unknown: Collection[str]) -> Node:
    """Return an argument with `{NAME}` replaced for each of the plugin's own variables.

    Values are not looked into again, other braces stay. A secret stands as its marker; `unknown` are
    variables whose values nobody can know here.
    """
    if isinstance(node.value, list):
        return _copy(node, value=[fill(child, variables, unknown) for child in node.value])
    if isinstance(node.value, dict):
        children = {key: fill(child, variables, unknown) for key, child in node.value.items()}
        return _copy(node, value=children)
    if not isinstance(node.value, str):
        return node
    used = [variables[name] for name in dict.fromkeys(_BRACED.findall(node.text)) if name in variables]
    if not used:
        return node
    text = substitute(node.text.encode(), used).decode()
    origin = ", ".join(f"{one.name} is set at {one.place}" for one in used)
    is_hidden = any(one.secret or one.name in unknown for one in used)
    own = {one.name: getattr(node, one.name) for one in fields(Node)}
    return Filled(**{**own, "value": text, "text": text}, origin=origin, is_hidden=is_hidden)


def secret_of(value: str, variables: Mapping[str, Variable]) -> str:
    """Return the secret whose marker is in a filled argument, empty when there is none."""
    found = (one.secret for one in variables.values() if one.secret)
    return next((secret for secret in found if secret_marker(secret) in value), "")


def _copy(node: _Some, **changed: Any) -> _Some:
    return type(node)(**{one.name: getattr(node, one.name) for one in fields(node)} | changed)
