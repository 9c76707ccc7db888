"""DOCKER_OPTS: what may be said of a stalk's containers, as `option_table.py` has it.

The names are docker-py's, so that a stalk written for the original tool keeps its meaning. Each
option is passed on to the engine, or settled by stalker (accepted where it says what happens
anyway), or refused with the reason. What is not in the table is an error: nothing is ignored
silently.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stalker.config.option_table import ROWS, Row
from stalker.config.report import did_you_mean
from stalker.model.tree import Option

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.report import Report


DEFAULT_CAPABILITIES = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""What the engine gives a container by itself. Source: Docker, docs.docker.com/engine/security."""


def read_options(node: Node | None, report: Report) -> tuple[Option, ...]:
    """Check a DOCKER_OPTS mapping and return the options that are passed on, sorted by name."""
    found: dict[str, Option] = {}
    for key, child in node.items() if node is not None else ():
        row = ROWS.get(key)
        if row is None:
            known = [name for name, other in ROWS.items() if other.fate == "passed"]
            report.problem(child.key_place, f"unknown option '{key}'", did_you_mean(key, known))
        elif row.fate == "refused":
            report.problem(child.key_place, f"'{key}' cannot be set: {row.why}")
        elif row.fate == "settled":
            _settle(key, row, child, report)
        elif row.name in found:
            report.problem(child.key_place, f"'{key}' is given twice: '{row.name}' is the same option")
        else:
            option = _option(row, child, report)
            if option is not None:
                found[row.name] = option
    _check_together(found, report)
    return tuple(found[name] for name in sorted(found))


def _option(row: Row, node: Node, report: Report) -> Option | None:
    try:
        value = row.value(node)
    except ValueError as error:
        report.problem(node.place, str(error))
        return None
    return Option(row.name, json.dumps(value, sort_keys=True), row.counts, node.key_place)


def _settle(key: str, row: Row, node: Node, report: Report) -> None:
    if key == "entrypoint":
        report.warning(node.key_place, f"'entrypoint' has no effect: {row.why}")
        return
    if not isinstance(node.value, bool):
        report.problem(node.place, f"must be true or false, is {node.kind}")
    elif key == "detach" and not node.value:
        report.problem(node.place, f"'detach: false' cannot be: {row.why}")
    elif key == "init" and not node.value:
        report.warning(node.place, f"'init: false' has no effect: {row.why}")
    elif key == "stdin_open" and node.value:
        report.warning(node.place, f"'stdin_open: true' has no effect: {row.why}")
    elif key in {"stdout", "stderr"} and not node.value:
        report.warning(node.place, f"'{key}: false' has no effect: {row.why}")


def _check_together(found: dict[str, Option], report: Report) -> None:
    if "nano_cpus" in found and ("cpu_quota" in found or "cpu_period" in found):
        report.problem(
            found["nano_cpus"].place, "nano_cpus and cpu_quota with cpu_period say the same; keep one"
        )
    if value_of(found.get("network_mode")) == "host":
        for name in ("extra_hosts", "dns", "hostname"):
            if name == "hostname" and name in found:
                report.problem(found[name].place, "hostname cannot be set in the host's own network")


def value_of(option: Option | None) -> Any:
    """Return an option's value, None where it is not set."""
    return None if option is None else json.loads(option.value)


def capabilities_of(options: tuple[Option, ...]) -> frozenset[str] | None:
    """Return the capabilities of a container with these options; None when it has all."""
    by_name = {option.name: value_of(option) for option in options}
    added = set(by_name.get("cap_add") or ())
    dropped = set(by_name.get("cap_drop") or ())
    if by_name.get("privileged") or ("ALL" in added and not dropped):
        return None
    return frozenset((DEFAULT_CAPABILITIES if "ALL" not in dropped else frozenset()) - dropped | added)


def options_schema() -> dict[str, Any]:
    """Return the JSON Schema of DOCKER_OPTS; refused options are not in it."""
    properties: dict[str, Any] = {}
    for name, row in ROWS.items():
        if row.fate != "refused":
            kind = row.json_type
            properties[name] = {
                "type": kind if isinstance(kind, str) else list(kind),
                "description": row.help,
            }
    return {"type": "object", "properties": properties, "additionalProperties": False}
