"""`offspot` of a YAML file as plain values, as a program that reads YAML has them.

The reader of positions keeps all but the simplest numbers as text; what is written to the card is read by other
programs, so here dates are dates and `0644` is 420. Only numbers to the base of 60 (`22:22`) stay text: who writes
ports means none, and quotes are put around them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.nodes import ScalarNode


def offspot_of(text: str) -> Any:
    """Return the value of `offspot` in a document that was read without problems."""
    loader = _Values(text)
    try:
        return loader.get_single_data()["offspot"]
    finally:
        loader.dispose()


class _Values(yaml.SafeLoader):
    """PyYAML's safe loader, but for numbers to the base of 60, and what it cannot make a value of."""


def _or_text(construct: Callable[[Any, ScalarNode], Any]) -> Callable[[Any, ScalarNode], Any]:
    def read(loader: Any, node: ScalarNode) -> Any:
        text = str(node.value)
        if ":" in text and not node.tag.endswith(":timestamp"):
            return text
        try:
            return construct(loader, node)
        except ValueError:  # the 31st of February
            return text

    return read


for _kind in ("int", "float", "timestamp"):
    _Values.add_constructor(
        f"tag:yaml.org,2002:{_kind}", _or_text(getattr(yaml.SafeLoader, f"construct_yaml_{_kind}"))
    )
