"""What the caller of a use case settles beforehand: the workspace, how to ask, which steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Settings:
    """The absolute path of the workspace, and `ask`, which puts a yes/no question to the user.

    `ask` is None where no user can answer.
    """

    workspace: str
    ask: Callable[[str], bool] | None = None

    @property
    def is_interactive(self) -> bool:
        """Return whether a user can answer a question."""
        return self.ask is not None


@dataclass(frozen=True, slots=True)
class StepRequest:
    """The steps of a tree that are requested, and what changes the tree; names as typed, empty for all steps.

    `overrides` are the variables of `--set`, `with_files` the files that are merged onto the tree, in order.
    With `locked` an input that moves and is not in the tree's lock file is refused.
    """

    start: str = ""
    until: tuple[str, ...] = ()
    only: str = ""
    no_cache: bool = False
    overrides: dict[str, str] = field(default_factory=dict)
    with_files: tuple[str, ...] = ()
    locked: bool = False
