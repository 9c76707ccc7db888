"""Inputs of steps that are declared in a stalk and fetched: files by URL, directories of git repositories."""

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


@dataclass(frozen=True, slots=True)
class GitSource:
    """A directory of a git repository: what a branch, a tag, or a full commit has now.

    `headers` and `secrets` are as in `Download`.
    """

    url: str
    place: Place
    ref: str = "HEAD"
    subdirectory: str = ""
    has_submodules: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def is_moving(self) -> bool:
        """Return whether another commit can be meant tomorrow."""
        return len(self.ref) not in {40, 64} or not set(self.ref.lower()) <= set("0123456789abcdef")
