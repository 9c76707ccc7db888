"""Reusable plugins: `plugins/<name>.{sh,py}` with a sidecar `plugins/<name>.hjson`."""

# ruff: noqa: PTH100, PTH113, PTH118, PTH120

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config import shapes
from stalker.config.arguments import Argument, declared_argument
from stalker.config.document import is_true, text_of, texts_of
from stalker.config.report import Report, did_you_mean
from stalker.config.shape import check
from stalker.config.workspace import Workspace
from stalker.errors import ArgumentsError, FilesError
from stalker.model.places import Place, Problem

if TYPE_CHECKING:
    from stalker.config.document import Node

ENDINGS = ("sh", "py")
FOLDER = "plugins"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A reusable plugin as its sidecar tells it; `script` is relative to the workspace."""

    name: str
    script: str
    place: Place
    summary: str = ""
    arguments: tuple[Argument, ...] = ()
    packages: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    network: bool = False
    example: str = ""


def plugin_names(workspace: Workspace) -> list[str]:
    """Return the names of all plugins in the folder, sorted."""
    return sorted(_stems(workspace, ENDINGS))


def _stems(workspace: Workspace, endings: tuple[str, ...]) -> set[str]:
    pairs = (name.rpartition(".") for name in workspace.listing(FOLDER))
    return {stem for stem, _, ending in pairs if stem and ending in endings}


def find_plugin(name: str, asked_at: Place, workspace: Workspace, report: Report) -> PluginInfo | None:
    """Return a plugin by name; None when it is not usable, and the report says why."""
    listing = set(workspace.listing(FOLDER))
    scripts = [f"{name}.{ending}" for ending in ENDINGS if f"{name}.{ending}" in listing]
    if not scripts:
        report.problem(asked_at, f"no plugin named '{name}'", _near(name, workspace))
        return None
    if len(scripts) > 1:
        report.problem(asked_at, f"two scripts are plugin '{name}': {' and '.join(scripts)}", "keep one")
        return None
    sidecar = f"{name}.hjson"
    if sidecar not in listing:
        report.problem(
            asked_at, f"plugin '{name}' has no sidecar {FOLDER}/{sidecar}", "it declares the arguments"
        )
        return None
    document = workspace.document(f"{FOLDER}/{sidecar}")
    if document is None or document.root is None:
        return None
    return read_sidecar(document.root, name, f"{FOLDER}/{scripts[0]}", report)


def _near(name: str, workspace: Workspace) -> str:
    """Say what may have been meant, or how to get at the plugin that comes with stalker."""
    import shlex

    known = plugin_names(workspace)
    folder = _shipped_folder()
    is_shipped = any(os.path.isfile(os.path.join(folder, f"{name}.{ending}")) for ending in ENDINGS)
    shipped = shlex.quote(folder)
    if is_shipped and not os.path.lexists(workspace.absolute(FOLDER)):
        return f"it comes with stalker: ln -s {shipped} {FOLDER}"
    if is_shipped:
        links = f"ln -s {shipped}/{name}.* {FOLDER}/"
        if workspace.kind(f"{FOLDER}/lib") == "":
            links += f"; ln -s {shipped}/lib {FOLDER}/lib"
        return f"it comes with stalker: {links}"
    if not known:
        return f"the workspace has no plugins in {workspace.absolute(FOLDER)}"
    return f"{did_you_mean(name, known, 'plugins')}   `stalker plugins` lists them".strip()


def _shipped_folder() -> str:
    """Return the plugins beside this program; where it was installed without them it is not there."""
    import stalker

    package = os.path.dirname(os.path.abspath(stalker.__file__))
    return os.path.join(os.path.dirname(os.path.dirname(package)), FOLDER)


def read_sidecar(root: Node, name: str, script: str, report: Report) -> PluginInfo | None:
    """Check a sidecar and return what it tells; None when its root is no mapping."""
    if not check(root, shapes.SIDECAR, shapes.NAMED, report) or not isinstance(root.value, dict):
        return None
    arguments = root.get("arguments")
    needs = root.get("needs")
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
        summary=text_of(root.get("summary")),
        arguments=tuple(argument for argument in found if argument is not None),
        packages=texts_of(needs.get("packages") if needs else None),
        capabilities=tuple(
            c.upper().removeprefix("CAP_") for c in texts_of(needs.get("capabilities") if needs else None)
        ),
        network=is_true(needs.get("network") if needs else None),
        example=text_of(root.get("example")),
    )


def list_plugins(workspace: str) -> list[PluginInfo]:
    """Return all reusable plugins of a workspace, by name.

    Raises:
        FilesError: a sidecar is missing or wrong.
    """
    report = Report()
    files = Workspace(workspace, report)
    found = [find_plugin(name, Place(f"{FOLDER}/{name}"), files, report) for name in plugin_names(files)]
    for stem in sorted(_stems(files, ("hjson",)) - set(plugin_names(files))):
        report.problem(
            Place(f"{FOLDER}/{stem}.hjson"), "a sidecar without a script", f"{stem}.sh or {stem}.py"
        )
    if report.has_errors:
        raise FilesError(report.errors())
    return [info for info in found if info is not None]


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
        raise ArgumentsError([Problem(Place(FOLDER), what, _near(name, files))])
    info = find_plugin(name, Place(FOLDER), files, report)
    if info is None or report.has_errors:
        raise FilesError(report.errors())
    lines = [f"{info.name} - {info.summary}", f"script: {info.script}"]
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
