"""Read a tree of the workspace, with the latest time of the environment given to its artifacts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stalker.app.environment import source_date_epoch
from stalker.config.tree.cache import read_tree_cached
from stalker.errors import FilesError
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.app.settings import Settings
    from stalker.model.tree import Tree


def read_tree(
    settings: Settings, config: str, overrides: dict[str, str] | None = None, with_files: Sequence[str] = ()
) -> Tree:
    """Read a tree file with all files that it names, `with_files` merged onto it.

    Raises:
        FilesError: all problems at once. ArgumentsError: a file is missing, or a variable is wrong.
    """
    tree = read_tree_cached(config, settings.workspace, overrides or {}, with_files)
    epoch_s = source_date_epoch() if any(stalk.artifacts for stalk in tree.stalks) else None
    return tree if epoch_s is None else _with_epoch(tree, epoch_s)


def _with_epoch(tree: Tree, epoch_s: int) -> Tree:
    """Give artifacts the latest time of the environment, where the tree sets none."""
    stalks = tuple(
        replace(
            stalk,
            artifacts=tuple(
                replace(one, epoch_s=epoch_s) if one.epoch_s is None else one for one in stalk.artifacts
            ),
        )
        for stalk in tree.stalks
    )
    return replace(tree, stalks=stalks)


def read_names(settings: Settings, config: str, say: Callable[[str], None]) -> Tree:
    """Read a tree for its names; problems in stalk files become one line to `say`.

    Raises:
        FilesError: the tree's own file has problems.
    """
    # late: a tree without problems is read from its cache, without the readers (40 ms)
    from stalker.config.tree.load import read_names as names_of

    try:
        return read_tree(settings, config)
    except FilesError as error:
        tree = names_of(config, settings.workspace)
        say(f"{error.brief}, see `{program()} check {config}`; the names are known")
        return tree
