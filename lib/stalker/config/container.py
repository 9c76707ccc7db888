"""What the containers of a stalk offer its scripts: their environment, network and capabilities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.docker_opts import capabilities_of, value_of
from stalker.config.scripts import shell_of

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.exec_plugins import Exec
    from stalker.config.report import Report
    from stalker.config.scope import Scope
    from stalker.model.places import Place
    from stalker.model.tree import Option

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

VARIABLE_MAX_BYTES = 128 * 1024
"""Of one variable with its name, `=` and NUL. Source: MAX_ARG_STRLEN in Linux' binfmts.h."""

ENVIRONMENT_MAX_BYTES = 2 * 1024 * 1024
"""Of all variables of a program, with a pointer each: a quarter of the usual stack limit, execve(2)."""

_POINTER_BYTES = 8
_TOO_LARGE = "put large values into a file plugin, and let the script read it"

_SHELL_SETS = frozenset({"IFS", "OPTIND", "PPID", "PWD"})
"""Variables that every POSIX shell sets at its start, whatever it was given."""

_BASH_SETS = frozenset(
    {
        *("BASH", "BASHPID", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_VERSINFO", "BASH_VERSION"),
        *("EPOCHREALTIME", "EPOCHSECONDS", "HISTCMD", "LINENO", "OPTERR", "RANDOM", "SECONDS", "SHLVL"),
        "SRANDOM",
    }
)
"""Those that bash sets besides. UID and EUID are not among them: it takes what it is given."""


def check_needs_of_plugins(execs: list[Exec], options: tuple[Option, ...], report: Report) -> None:
    """Tell where DOCKER_OPTS withhold what a step needs.

    A missing network is a warning: what a plugin installs may be there already, and a daemon may be
    talked to through a mount.
    """
    has_network = value_of(next((o for o in options if o.name == "network_mode"), None)) != "none"
    capabilities = capabilities_of(options)
    for one in execs:
        if one.daemonize and not has_network:
            what = "no other step reaches a daemonized one over the network with network: none"
            report.warning(one.place, what, "leave network out of DOCKER_OPTS")
        if one.info is None:
            continue
        if one.info.network and not has_network:
            what = f"plugin '{one.info.name}' needs the network, and DOCKER_OPTS has network: none"
            report.warning(one.place, what, "leave network out of DOCKER_OPTS, unless all is there already")
        lacking = [c for c in one.info.capabilities if capabilities is not None and c not in capabilities]
        if lacking:
            what = f"plugin '{one.info.name}' needs the capability {', '.join(lacking)}"
            report.problem(one.place, what, f'DOCKER_OPTS: {{ cap_add: ["{lacking[0]}"] }}')


def read_environment(node: Node | None, scope: Scope, report: Report) -> tuple[tuple[str, str], ...]:
    """Read `envplugins`; `''` inherits what is set and is empty text otherwise."""
    found: dict[str, str] = {}
    for key, child in node.items() if node is not None else ():
        if not _ENVIRONMENT_NAME.match(key):
            report.problem(child.key_place, f"'{key}' cannot be a variable's name")
        elif isinstance(child.value, dict | list) or child.value is None:
            continue
        elif "\0" in child.text:
            report.problem(child.place, "a variable cannot hold the character NUL")
        elif not child.text and key in scope.secrets:
            what = f"the secret {key} would be seen by `docker inspect`"
            report.problem(child.key_place, what, "declare it in the plugins that need it")
        else:
            found[key] = child.text or scope.value(key)
            _check_size(key, found[key], child.key_place, _TOO_LARGE, report)
    return tuple(sorted(found.items()))


def check_variables(
    execs: list[Exec], environment: tuple[tuple[str, str], ...], node: Node | None, report: Report
) -> None:
    """Report what steps cannot be given: variables that are too large, or that their shell sets itself.

    `node` is `envplugins`, which gave `environment`.
    """
    places = {key: child.key_place for key, child in (node.items() if node is not None else ())}
    for one in execs:
        for variable in one.variables:
            hint = f"it is set at {variable.place}; {_TOO_LARGE}"
            _check_size(variable.name, variable.value, one.place, hint, report)
        own = {variable.name: variable.value for variable in one.variables}
        everything = {**dict(environment), **own}
        size = sum(_size(name, value) + _POINTER_BYTES for name, value in everything.items())
        if size > ENVIRONMENT_MAX_BYTES:
            what = f"its variables are {size} bytes with envplugins; a program takes {ENVIRONMENT_MAX_BYTES}"
            report.problem(one.place, what, _TOO_LARGE)
        shell = shell_of(one.script.interpreter) if one.script is not None else ""
        for name in everything if shell else ():
            _check_owner(name, shell, one.place if name in own else places[name], report)


def _size(name: str, value: str) -> int:
    return len(name) + len(value.encode("utf-8", "surrogateescape")) + 2


def _check_size(name: str, value: str, place: Place, hint: str, report: Report) -> None:
    size = _size(name, value)
    if size > VARIABLE_MAX_BYTES:
        what = f"the variable {name} is {size} bytes with its name; a program takes {VARIABLE_MAX_BYTES}"
        report.problem(place, what, hint)


def _check_owner(name: str, shell: str, place: Place, report: Report) -> None:
    if name in _SHELL_SETS or (shell in {"bash", "rbash"} and name in _BASH_SETS):
        what = f"{shell} sets {name} itself, so a script never sees this value"
        report.problem(place, what, "choose another name")
    elif shell == "sh" and name in _BASH_SETS:
        what = f"bash, which is sh in some images, sets {name} itself, so a script may not see this value"
        report.warning(place, what, "choose another name")
