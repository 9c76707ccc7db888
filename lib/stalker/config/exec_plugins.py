"""Exec plugins: the scripts of the steps, their own or reusable ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.config.arguments import given_arguments
from stalker.config.contents import Source, script_of
from stalker.config.document import is_true
from stalker.config.filling import fill, secret_of
from stalker.config.quantities import duration_s
from stalker.config.reusable import PluginInfo, find_plugin
from stalker.config.scope import plugin_variables
from stalker.config.targets import Target
from stalker.model.places import Place
from stalker.model.tree import PLUGINS_DIR, File, Ready, Script, Variable, secret_marker

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.plugin_reader import PluginReader


READY_KINDS: tuple[Literal["port", "command", "log"], ...] = ("port", "command", "log")
READY_S = 60.0
"""How long a daemonized step may take until it is ready, where the tree does not say."""


@dataclass(slots=True)
class Exec:
    """An exec plugin as read; `script` is None where it is wrong, which was told."""

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
    """Read an exec plugin; what is wrong is told."""
    report = reader.report
    reader.check_keys(node, "exec")
    reader.targets.append(Target(f"{PLUGINS_DIR}/{name}", node.key_place, "file"))
    mode = node.get("mode")
    if mode is not None and mode.text != "ro":
        report.warning(mode.key_place, "'mode' has no effect on a script")
    found = Exec(name, node.key_place, None, plugin_variables(node, reader.scope, report))
    found.timeout_s = _timeout_s(node.get("timeout"), reader)
    retries = node.get("retries")
    found.retries = retries.value if retries is not None and isinstance(retries.value, int) else 0
    found.daemonize = is_true(node.get("daemonize"))
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


def _timeout_s(node: Node | None, reader: PluginReader) -> float | None:
    if node is None or not isinstance(node.value, str | int) or isinstance(node.value, bool):
        return None
    try:
        return duration_s(node.text)
    except ValueError as error:
        reader.report.problem(node.place, str(error))
        return None


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
    if kind == "log":
        try:
            re.compile(child.text)
        except re.error as error:
            reader.report.problem(child.place, f"not a valid regular expression: {error}")
    timeout_s = _timeout_s(node.get("timeout"), reader)
    return Ready(kind, child.text, READY_S if timeout_s is None else timeout_s, child.place)


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
    given = given_arguments(arguments, info, node.key_place, reader.report)
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
