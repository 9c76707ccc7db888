"""What the containers of a stalk offer its scripts: their environment, network and capabilities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.docker_opts import capabilities_of, value_of

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.exec_plugins import Exec
    from stalker.config.report import Report
    from stalker.config.scope import Scope
    from stalker.model.tree import Option

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


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
    return tuple(sorted(found.items()))
