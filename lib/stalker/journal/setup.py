"""The observers of a run of a tree: its journal, its step logs, its view."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.journal.steplogs import StepLogs
from stalker.journal.views import View, choose_view
from stalker.journal.writer import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.events import Observer
    from stalker.model.tree import Tree


@dataclass(slots=True)
class Observers:
    """Who is told of a run, the logs before the view."""

    journal: Journal
    logs: StepLogs
    view: View

    @property
    def all(self) -> list[Observer]:
        """All of them, in the order in which they are to be told."""
        return [self.journal, self.logs, self.view]

    def close(self, error: BaseException | None = None) -> None:
        """Close all; `error` is what ended the program, if it was that. Says what could not be written."""
        with ExitStack() as closing:
            closing.callback(self._tell_problems)
            closing.callback(self.journal.close, error)
            closing.callback(self.logs.close)
            closing.callback(self.view.close)

    def _tell_problems(self) -> None:
        for problem in filter(None, (self.journal.problem, self.logs.problem)):
            print(f"warning: {problem}", file=sys.stderr)


def open_observers(
    tree: Tree,
    run: str,
    masks: Sequence[str],
    *,
    watch_stdout: bool = False,
    eliot_info: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> Observers:
    """Return the observers of a run; `masks` are the values of the tree's secrets."""
    log_dir = Path(tree.workspace) / tree.log_dir
    view = choose_view(
        sys.stdout,
        sys.stderr,
        os.environ,
        quiet=quiet,
        json=as_json,
        watch=watch_stdout,
        eliot_info=eliot_info,
    )
    return Observers(Journal(log_dir, run, masks), StepLogs(masks), view)
