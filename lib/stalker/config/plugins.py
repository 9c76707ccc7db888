"""The plugins of a stalk file: steps, files, folders and stores, as one stalk of a tree sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.config import names
from stalker.config.document import is_true
from stalker.config.exec_plugins import Exec, read_exec
from stalker.config.placed_plugins import read_placed
from stalker.config.plugin_reader import PluginReader
from stalker.model.tree import File, Mount

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.report import Report
    from stalker.config.scope import Scope
    from stalker.config.targets import Target
    from stalker.config.workspace import Workspace


@dataclass(slots=True)
class Plugins:
    """All plugins of a stalk; `late_copies` are those below the last exec plugin.

    `targets` are the paths that all of them have in a container.
    """

    execs: list[Exec] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    late_copies: tuple[File, ...] = ()
    targets: tuple[Target, ...] = ()


def read_plugins(node: Node | None, scope: Scope, workspace: Workspace, report: Report) -> Plugins:
    """Read the `plugins` of a stalk file; what is wrong is told, the rest is returned."""
    reader = PluginReader(scope, workspace, report)
    found = Plugins()
    copies: list[File] = []
    for name, child in node.items() if node is not None else ():
        if not isinstance(child.value, dict) or not _is_name(name, child, report):
            continue
        reader.warn_of(child, "tmpfs", "'tmpfs' has no effect", "use tmpfs of DOCKER_OPTS")
        if is_true(child.get("exec")):
            if is_true(child.get("skip")):
                reader.warn_of(child, "skip", f"the step '{name}' is left out")
                continue
            step = read_exec(name, child, reader)
            step.copies, copies = tuple(copies), []
            found.execs.append(step)
            continue
        if is_true(child.get("skip")):
            reader.warn_of(child, "skip", "'skip' has no effect: only steps can be left out")
        placed = read_placed(name, child, reader)
        if isinstance(placed, Mount):
            found.mounts.append(placed)
        elif placed is not None:
            (found.files if child.get("copy") is None else copies).append(placed)
    found.late_copies = tuple(copies)
    _check_step_names(found.execs, report)
    found.targets = tuple(reader.targets)
    return found


def _is_name(name: str, node: Node, report: Report) -> bool:
    try:
        names.check_plugin_name(name)
    except ValueError as error:
        report.problem(node.key_place, str(error))
        return False
    return True


def _check_step_names(execs: list[Exec], report: Report) -> None:
    for position, one in enumerate(execs):
        try:
            names.check_step_name(one.name, is_last=position == len(execs) - 1)
        except ValueError as error:
            report.problem(one.place, str(error))
