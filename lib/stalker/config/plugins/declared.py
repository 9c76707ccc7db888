"""The plugins that a stalk declares: exec plugins, placed files, reusable ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.config.plugins.arguments import fill, given_arguments, secret_of
from stalker.config.plugins.content import Source, script_of
from stalker.config.plugins.placed import read_placed
from stalker.config.plugins.reusable import PluginInfo, find_plugin
from stalker.config.plugins.values import PluginReader
from stalker.config.schema.tree import READY, STEP
from stalker.config.schema.types import values
from stalker.config.syntax.document import is_true
from stalker.config.tree import names
from stalker.config.tree.targets import Target
from stalker.config.tree.variables import plugin_variables
from stalker.model.diagnostics import Place
from stalker.model.tree import PLUGINS_DIR, File, Mount, Ready, Script, secret_marker
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.tree.variables import Scope
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
    """Read the `plugins` of a stalk file; what is wrong is reported, the rest is returned."""
    reader = PluginReader(scope, workspace, report)
    found = Plugins()
    copies: list[File] = []
    for name, child in node.items() if node is not None else ():
        if not isinstance(child.value, dict) or not report.attempt(child.key_place, names.plugin_name, name):
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


def _check_step_names(execs: list[Exec], report: Report) -> None:
    for position, one in enumerate(execs):
        try:
            names.check_step_name(one.name, is_last=position == len(execs) - 1)
        except ValueError as error:
            report.problem(one.place, str(error))


READY_KINDS: tuple[Literal["port", "command", "log"], ...] = ("port", "command", "log")
READY_S = 60.0
"""How long a daemonized step may take until it is ready, where the tree does not say."""


@dataclass(slots=True)
class Exec:
    """An exec plugin as read; `script` is None where it is wrong, which was reported."""

    name: str
    place: Place
    script: Script | None
    variables: tuple[Variable, ...] = ()
    timeout_s: float | None = None
    retries: int = 0
    daemonize: bool = False
    ready: Ready | None = None
    info: PluginInfo | None = None
    copies: tuple[File, ...] = ()


def read_exec(name: str, node: Node, reader: PluginReader) -> Exec:
    """Read an exec plugin; what is wrong is reported."""
    report = reader.report
    reader.check_keys(node, "exec")
    reader.targets.append(Target(f"{PLUGINS_DIR}/{name}", node.key_place, "file"))
    mode = node.get("mode")
    if mode is not None and mode.text != "ro":
        report.warning(mode.key_place, "'mode' has no effect on a script")
    variables = plugin_variables(node, reader.scope, report)
    found = Exec(name, node.key_place, None, variables, **values(node, STEP, report))
    found.ready = _ready(node.get("ready"), reader, stays_up=found.daemonize)
    use, arguments = node.get("use"), node.get("with")
    if use is None and arguments is not None:
        report.problem(arguments.key_place, "'with' gives arguments to 'use', which is missing")
    if not reader.has_one_of(node, "text", "path", "use"):
        return found
    if use is None:
        source = reader.source(node, is_read=True)
        found.script = None if source is None else script_of(source, found.variables, report)
        return found
    found.info = find_plugin(use.text, use.place, reader.workspace, report)
    if found.info is not None:
        found.variables = _with_arguments(node, found.info, found.variables, reader)
        found.script = _reusable_script(found.info, use, reader)
    return found


def _ready(node: Node | None, reader: PluginReader, *, stays_up: bool) -> Ready | None:
    if node is None or not isinstance(node.value, dict):
        return None
    if not stays_up:
        reader.report.problem(node.key_place, "'ready' goes with daemonize: true")
        return None
    given = [(kind, child) for kind in READY_KINDS if (child := node.get(kind)) is not None]
    if len(given) != 1:
        reader.report.problem(node.key_place, "'ready' takes one of port, command and log")
        return None
    [(kind, child)] = given
    timeout_s = values(node, READY.keys, reader.report).get("timeout", READY_S)
    return Ready(kind, child.text, timeout_s, child.place)


def _reusable_script(info: PluginInfo, use: Node, reader: PluginReader) -> Script | None:
    """Read a reusable script; it is taken as it is, because its author cannot know our variables."""
    data = reader.workspace.read(info.script, use.place)
    if data is None:
        return None
    source = Source(data, reader.workspace.digests[info.script], Place(info.script))
    return script_of(source, (), reader.report, is_as_it_is=True)


def _with_arguments(
    node: Node, info: PluginInfo, own: tuple[Variable, ...], reader: PluginReader
) -> tuple[Variable, ...]:
    """Return the plugin's own variables and its arguments; `{NAME}` in an argument is an own one."""
    variables = {variable.name: variable for variable in own}
    unknown = {variable.name for variable in own if not variable.value} if reader.scope.is_open else ()
    arguments = node.get("with")
    if arguments is not None:
        arguments = fill(arguments, variables, unknown)
    given = given_arguments(arguments, info.name, info.arguments, node.key_place, reader.report)
    found = dict(variables)
    for name, (value, place) in given.items():
        if name in variables:
            what = f"the argument is the variable {name} in the script, which is also set as a variable"
            reader.report.problem(place, what, "keep one of them")
            continue
        secret = secret_of(value, variables)
        if secret and value != secret_marker(secret):
            what = f"the secret {secret} is only part of the argument"
            reader.report.problem(place, what, f"the argument must be '{{{secret}}}' alone")
            continue
        found[name] = Variable(name, "" if secret else value, place, secret=secret)
    return tuple(found[name] for name in sorted(found))
