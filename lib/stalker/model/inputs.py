"""Inputs of steps that are declared in a stalk and fetched: files by URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.model.card import Source
    from stalker.model.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is fetched for the steps that need it.

    `headers` are sent to the host of the URL alone; they hold the markers of `secrets`, the names of secrets.
    """

    source: Source
    place: Place
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
