"""A variable as a plugin sees it; a module of its own because steps and artifacts both have some."""

from __future__ import annotations

from dataclasses import dataclass

from stalker.model.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as one plugin sees it, and where its value was set.

    `secret` is the name of the tree's secret that it stands for, else empty; then `value` is empty.
    `code` is what of a secret that counts is in fingerprints.
    """

    name: str
    value: str
    place: Place
    secret: str = ""
    code: str = ""
