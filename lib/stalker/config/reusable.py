"""Reusable plugins: `plugins/<name>.{sh,py}` with a sidecar `plugins/<name>.hjson`.

Arguments reach the script as environment variables in UPPER CASE (`user-name` as `USER_NAME`): text
as it is, numbers as written, booleans as `true` or `false`, a list with one item a line, a mapping
with one `key=value` a line, an argument not given as its default or as empty text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config import shapes
from stalker.config.report import Report, did_you_mean
from stalker.config.shape import VARIABLE, check
from stalker.config.workspace import Workspace
from stalker.errors import FilesError
from stalker.model.places import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.config.hjson_reader import Node

ENDINGS = ("sh", "py")
FOLDER = "plugins"


@dataclass(frozen=True, slots=True)
class Argument:
    """What a plugin takes under one name.

    `default` is None when there is none; then an argument not given is empty text.
    """

    name: str
    type: str
    place: Place
    required: bool = False
    default: str | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    help: str = ""

    @property
    def variable(self) -> str:
        """The variable that the script gets."""
        return self.name.upper().replace("-", "_")


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
        hint = did_you_mean(name, plugin_names(workspace), "plugins")
        report.problem(
            asked_at, f"no plugin named '{name}'", f"{hint}   `stalker plugins` lists them".strip()
        )
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


def read_sidecar(root: Node, name: str, script: str, report: Report) -> PluginInfo | None:
    """Check a sidecar and return what it tells; None when its root is no mapping."""
    if not check(root, shapes.SIDECAR, shapes.NAMED, report) or not isinstance(root.value, dict):
        return None
    arguments = root.get("arguments")
    needs = root.get("needs")
    found = [_argument(key, child, report) for key, child in (arguments.items() if arguments else ())]
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
        summary=_text(root.get("summary")),
        arguments=tuple(argument for argument in found if argument is not None),
        packages=_texts(needs.get("packages") if needs else None),
        capabilities=tuple(
            c.upper().removeprefix("CAP_") for c in _texts(needs.get("capabilities") if needs else None)
        ),
        network=_is_true(needs.get("network") if needs else None),
        example=_text(root.get("example")),
    )


def _argument(name: str, node: Node, report: Report) -> Argument | None:
    if not isinstance(node.value, dict):
        return None
    if not VARIABLE.match(name.upper().replace("-", "_")):
        report.problem(node.key_place, f"'{name}' cannot name an argument: the script gets it as a variable")
        return None
    pattern = node.get("pattern")
    if pattern is not None and not _compiles(pattern.text):
        report.problem(pattern.place, f"'{pattern.text}' is no regular expression")
        pattern = None
    allowed = node.get("allowed")
    bare = Argument(
        name=name,
        type=_text(node.get("type")) or "string",
        place=node.key_place,
        required=_is_true(node.get("required")),
        allowed=tuple(c.text for c in allowed.value) if allowed and isinstance(allowed.value, list) else (),
        pattern=_text(pattern),
        help=_text(node.get("help")),
    )
    default = node.get("default")
    if default is None:
        return bare
    if bare.required:
        report.problem(default.place, "a required argument has no default", "keep one of the two")
    value = argument_value(default, bare, report)
    return Argument(
        bare.name, bare.type, bare.place, bare.required, value, bare.allowed, bare.pattern, bare.help
    )


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def argument_value(node: Node, argument: Argument, report: Report) -> str | None:
    """Return a given argument as the script gets it; None when it is wrong, which is told."""
    value = node.value
    match argument.type:
        case "string":
            is_right = isinstance(value, str | int | float) and not isinstance(value, bool)
        case "integer":
            is_right = isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            is_right = isinstance(value, bool)
        case "list":
            is_right = isinstance(value, list)
        case _:
            is_right = isinstance(value, dict)
    if not is_right:
        wanted = {"string": "text", "integer": "a whole number", "boolean": "true or false"}
        hint = f"write [{node.text}]" if argument.type == "list" and node.text else argument.help
        report.problem(
            node.place, f"must be {wanted.get(argument.type, 'a ' + argument.type)}, is {node.kind}", hint
        )
        return None
    if isinstance(value, list):
        parts = [_checked(child, argument, report) for child in value]
    elif isinstance(value, dict):
        parts = [
            None if (text := _checked(child, argument, report)) is None else f"{key}={text}"
            for key, child in value.items()
        ]
    else:
        parts = [_checked(node, argument, report)]
    given = [part for part in parts if part is not None]
    return "\n".join(given) if len(given) == len(parts) else None


def _checked(node: Node, argument: Argument, report: Report) -> str | None:
    is_part = argument.type in {"list", "mapping"}
    if isinstance(node.value, dict | list) or node.value is None:
        report.problem(node.place, f"must be text, a number, true or false, is {node.kind}")
    elif "\0" in node.text or (is_part and "\n" in node.text):
        report.problem(node.place, f"a {argument.type} cannot hold a line break or NUL here")
    elif argument.allowed and node.text not in argument.allowed:
        hint = did_you_mean(node.text, argument.allowed, "possible")
        report.problem(node.place, f"'{node.text}' is not possible here", hint)
    elif argument.pattern and not re.fullmatch(argument.pattern, node.text):
        report.problem(node.place, f"'{node.text}' is not of the form {argument.pattern}", argument.help)
    else:
        return node.text
    return None


def given_arguments(
    node: Node | None, info: PluginInfo, asked_at: Place, report: Report
) -> dict[str, tuple[str, Place]]:
    """Check the arguments of a use and return all variables for the script, with their places."""
    known: Mapping[str, Argument] = {argument.name: argument for argument in info.arguments}
    given = dict(node.items()) if node is not None else {}
    found: dict[str, tuple[str, Place]] = {}
    for name, child in given.items():
        argument = known.get(name)
        if argument is None:
            hint = did_you_mean(name, known, "arguments")
            report.problem(child.key_place, f"plugin '{info.name}' has no argument '{name}'", hint)
            continue
        value = argument_value(child, argument, report)
        if value is not None:
            found[argument.variable] = (value, child.key_place)
    for name, argument in known.items():
        if name in given:
            continue
        if argument.required:
            where = node.key_place if node is not None else asked_at
            report.problem(where, f"plugin '{info.name}' needs the argument '{name}'", argument.help)
        else:
            found[argument.variable] = (argument.default or "", argument.place)
    return found


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
        FilesError: there is no such plugin, or its sidecar is wrong.
    """
    report = Report()
    info = find_plugin(name, Place(FOLDER), Workspace(workspace, report), report)
    if info is None or report.has_errors:
        raise FilesError(report.errors() or [Problem(Place(FOLDER), f"no plugin named '{name}'")])
    lines = [f"{info.name} - {info.summary}", f"script: {info.script}"]
    if info.arguments:
        width = max(len(argument.name) for argument in info.arguments)
        lines += ["", "Arguments"]
        lines += [f"  {argument.name:{width}}  {_described(argument)}" for argument in info.arguments]
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
    if argument.default is not None:
        facts.append("default " + (argument.default.replace("\n", ", ") or "empty"))
    if argument.allowed:
        facts.append("one of " + ", ".join(argument.allowed))
    if argument.pattern:
        facts.append("of the form " + argument.pattern)
    return ", ".join(facts) + (f": {argument.help}" if argument.help else "")


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _texts(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    children = node.value if isinstance(node.value, list) else [node]
    return tuple(child.value for child in children if isinstance(child.value, str))


def _is_true(node: Node | None) -> bool:
    return node is not None and node.value is True
