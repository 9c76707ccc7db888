"""Reusable plugins: `plugins/<name>.{sh,py}` with a sidecar `plugins/<name>.hjson`.

They are looked up in the workspace's `plugins/`, then in those that come with stalker: the workspace wins.
"""

# ruff: noqa: PTH118

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stalker.config.plugins.arguments import Argument, declared_argument
from stalker.config.schema import tree
from stalker.config.schema.types import check, values
from stalker.config.shipped import shipped
from stalker.config.syntax.document import text_of
from stalker.config.syntax.report import Report, did_you_mean
from stalker.config.workspace import Workspace
from stalker.errors import ArgumentsError, FilesError
from stalker.model.diagnostics import Place, Problem
from stalker.model.program import program

if TYPE_CHECKING:
    from stalker.config.syntax.document import Node

ENDINGS = ("sh", "py")
FOLDER = "plugins"
OWN = "workspace"
SHIPPED = "stalker"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A reusable plugin as its sidecar declares it.

    `script` is relative to the workspace where it is in it, else absolute. `origin` is `workspace` or `stalker`;
    with `hides_shipped` the workspace has another plugin under the name of one that comes with stalker.
    """

    name: str
    script: str
    place: Place
    summary: str = ""
    arguments: tuple[Argument, ...] = ()
    packages: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    network: bool = False
    example: str = ""
    origin: str = OWN
    hides_shipped: bool = False


def plugin_names(workspace: Workspace) -> list[str]:
    """Return the names of all plugins, sorted: those of the workspace, and those that come with stalker."""
    return sorted(set().union(*(_stems(workspace, folder, ENDINGS) for folder in _folders(workspace))))


def _folders(workspace: Workspace) -> tuple[str, ...]:
    """Return the directories of plugins, the workspace's first; one where they are the same."""
    own, other = workspace.absolute(FOLDER), shipped(FOLDER)
    return (FOLDER,) if os.path.realpath(own) == os.path.realpath(other) else (FOLDER, other)


def _stems(workspace: Workspace, folder: str, endings: tuple[str, ...]) -> set[str]:
    pairs = (name.rpartition(".") for name in workspace.listing(folder))
    return {stem for stem, _, ending in pairs if stem and ending in endings}


def _scripts(name: str, folder: str, workspace: Workspace) -> list[str]:
    listing = set(workspace.listing(folder))
    return [f"{name}.{ending}" for ending in ENDINGS if f"{name}.{ending}" in listing]


def find_plugin(name: str, asked_at: Place, workspace: Workspace, report: Report) -> PluginInfo | None:
    """Return a plugin by name; None when it is not usable, and the report says why."""
    folders = _folders(workspace)
    folder = next((one for one in folders if _scripts(name, one, workspace)), "")
    if not folder:
        known = plugin_names(workspace)
        hint = f"{did_you_mean(name, known, 'plugins')}   `{program()} plugins` lists them".strip()
        report.problem(asked_at, f"no plugin named '{name}'", hint)
        return None
    scripts = _scripts(name, folder, workspace)
    if len(scripts) > 1:
        report.problem(asked_at, f"two scripts are plugin '{name}': {' and '.join(scripts)}", "keep one")
        return None
    sidecar = f"{folder}/{name}.hjson"
    if f"{name}.hjson" not in workspace.listing(folder):
        shown = workspace.shown(sidecar)
        report.problem(asked_at, f"plugin '{name}' has no sidecar {shown}", "it declares the arguments")
        return None
    document = workspace.document(sidecar)
    if document is None or document.root is None:
        return None
    script = workspace.shown(f"{folder}/{scripts[0]}")
    info = read_sidecar(document.root, name, script, report)
    if info is None or folder != FOLDER:
        return info and replace(info, origin=SHIPPED)
    return replace(info, hides_shipped=_hides_shipped(script, folders, workspace))


def _hides_shipped(script: str, folders: tuple[str, ...], workspace: Workspace) -> bool:
    """Return whether a plugin of that name comes with stalker too, and is another file."""
    stem = os.path.splitext(os.path.basename(script))[0]  # noqa: PTH119, PTH122
    others = [
        os.path.join(folder, one) for folder in folders[1:] for one in _scripts(stem, folder, workspace)
    ]
    return any(os.path.realpath(one) != os.path.realpath(workspace.absolute(script)) for one in others)


def read_sidecar(root: Node, name: str, script: str, report: Report) -> PluginInfo | None:
    """Check a sidecar and return what it tells; None when its root is not a mapping."""
    if not check(root, tree.SIDECAR, tree.NAMED, report) or not isinstance(root.value, dict):
        return None
    arguments = root.get("arguments")
    fields = values(root, tree.SIDECAR.keys, report, without=("arguments", "example"))
    needs = fields.pop("needs", {})
    found = [declared_argument(key, child, report) for key, child in (arguments.items() if arguments else ())]
    taken: dict[str, str] = {}
    for argument in found:
        if argument is not None and taken.setdefault(argument.variable, argument.name) != argument.name:
            other = taken[argument.variable]
            report.problem(
                argument.place, f"'{argument.name}' and '{other}' are the same variable in the script"
            )
    return PluginInfo(
        name=name,
        script=script,
        place=root.place,
        arguments=tuple(argument for argument in found if argument is not None),
        example=text_of(root.get("example")),
        **fields,
        **needs,
    )


def list_plugins(workspace: str) -> list[PluginInfo]:
    """Return all reusable plugins that a workspace can use: its own by name, then those that come with stalker.

    Raises:
        FilesError: a sidecar is missing or wrong.
    """
    report = Report()
    files = Workspace(workspace, report)
    found = [find_plugin(name, Place(f"{FOLDER}/{name}"), files, report) for name in plugin_names(files)]
    for stem in sorted(_stems(files, FOLDER, ("hjson",)) - _stems(files, FOLDER, ENDINGS)):
        report.problem(
            Place(f"{FOLDER}/{stem}.hjson"), "a sidecar without a script", f"{stem}.sh or {stem}.py"
        )
    if report.has_errors:
        raise FilesError(report.errors())
    return sorted((info for info in found if info is not None), key=lambda info: info.origin != OWN)


def plugin_page(name: str, workspace: str) -> str:
    """Return a plugin's page as plain text.

    Raises:
        ArgumentsError: there is no such plugin. FilesError: its sidecar is wrong.
    """
    from textwrap import indent  # 1 ms that only a page needs

    report = Report()
    files = Workspace(workspace, report)
    if name not in plugin_names(files):
        what = f"there is no plugin '{name}'"
        near = did_you_mean(name, plugin_names(files), "plugins")
        raise ArgumentsError(
            [Problem(Place(FOLDER), what, f"{near}   `{program()} plugins` lists them".strip())]
        )
    info = find_plugin(name, Place(FOLDER), files, report)
    if info is None or report.has_errors:
        raise FilesError(report.errors())
    lines = [f"{info.name} - {info.summary}", f"script: {info.script}"]
    if info.origin == SHIPPED:
        lines.append("origin: comes with stalker")
    if info.hides_shipped:
        lines.append("origin: the workspace; it hides the plugin of that name that comes with stalker")
    if info.arguments:
        width = max(len(argument.name) for argument in info.arguments)
        lines += ["", "Arguments"]
        lines += [
            f"  {argument.name:{width}}  {indent(_described(argument), ' ' * (width + 4)).lstrip()}"
            for argument in info.arguments
        ]
    needs = [
        *(f"package {package}" for package in info.packages),
        *(["network"] if info.network else []),
        *(f"capability {name}" for name in info.capabilities),
    ]
    if needs:
        lines += ["", "Needs", "  " + ", ".join(needs)]
    if info.example:
        lines += ["", "Example", *("  " + line for line in info.example.splitlines())]
    return "\n".join(lines) + "\n"


def _described(argument: Argument) -> str:
    facts = [argument.type]
    if argument.required:
        facts.append("required")
    if argument.is_secret:
        facts.append("a secret of the tree")
    if argument.default is not None:
        facts.append("default " + (argument.default.replace("\n", ", ") or "empty"))
    if argument.allowed:
        facts.append("one of " + ", ".join(argument.allowed))
    if argument.pattern:
        facts.append("of the form " + argument.pattern)
    return ", ".join(facts) + (f": {argument.help}" if argument.help else "")
