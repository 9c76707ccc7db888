"""The options of DOCKER_OPTS, one row each: passed on, settled by stalker, or refused, and why.

The names are docker-py's, so that a stalk written for the original tool keeps its meaning. Each
option is passed on to the engine, or settled by stalker (accepted where it says what happens
anyway), or refused with the reason. What is not in the table is an error: nothing is ignored
silently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stalker.config.docker_options import values as read
from stalker.config.syntax.report import did_you_mean
from stalker.model.tree import Option

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report


@dataclass(frozen=True, slots=True)
class Row:
    """One option.

    `name` is the one that the engine adapter gets; `aliases` are docker-py's other spellings.
    `value` checks a value and returns it in one form, as JSON. `counts`: it can change what a step
    writes. `why` is the reason where it is settled or refused.
    """

    name: str
    fate: Literal["passed", "settled", "refused"]
    help: str
    value: Callable[[Node], Any] = read.anything
    counts: bool = True
    aliases: tuple[str, ...] = ()
    why: str = ""
    json_type: str | tuple[str, ...] = "string"


def _passed(
    name: str,
    help: str,  # noqa: A002 - the word of the table
    value: Callable[[Node], Any],
    json_type: str | tuple[str, ...],
    *aliases: str,
    counts: bool = True,
) -> Row:
    return Row(name, "passed", help, value, counts, aliases, json_type=json_type)


def _resource(name: str, help: str, value: Callable[[Node], Any], json_type: str | tuple[str, ...]) -> Row:  # noqa: A002
    return _passed(name, help, value, json_type, counts=False)


def _settled(names: str, why: str) -> Row:
    name, *aliases = names.split()
    return Row(name, "settled", why, read.flag, aliases=tuple(aliases), why=why, json_type="boolean")


def _refused(names: str, why: str) -> Row:
    name, *aliases = names.split()
    return Row(name, "refused", "refused: " + why, counts=False, aliases=tuple(aliases), why=why)


_TEXT_OR_NUMBER = ("string", "integer")
_MANY = ("array", "string")
_PAIRS = ("object", "array")

TABLE: tuple[Row, ...] = (
    _passed("network_mode", "none, bridge, host, or a network's name", read.network, "string", "network"),
    _passed("cap_add", "capabilities beyond the engine's defaults", read.capabilities, _MANY),
    _passed("cap_drop", "capabilities taken away", read.capabilities, _MANY),
    _passed("tmpfs", "folders in memory: path: options", read.tmpfs, _PAIRS),
    _passed("extra_hosts", "names for /etc/hosts: name: address", read.hosts, _PAIRS),
    _passed("dns", "name servers", read.addresses, _MANY),
    _passed("dns_search", "search domains", read.texts, _MANY),
    _passed("dns_opt", "resolver options", read.texts, _MANY),
    _passed("domainname", "the domain", read.text, "string"),
    _passed("hostname", "the container's host name", read.text, "string"),
    _passed("user", "who scripts run as", read.user, _TEXT_OR_NUMBER),
    _passed("working_dir", "folder that scripts begin in", read.folder, "string"),
    _passed("group_add", "more groups", read.words, _MANY),
    _passed(
        "tty", "scripts have a terminal, which is one stream for output and errors", read.flag, "boolean"
    ),
    _passed("devices", "host devices: /dev/x[:/dev/y[:rwm]]", read.devices, _MANY),
    _passed("device_cgroup_rules", "rules for devices", read.texts, _MANY),
    _passed("sysctls", "kernel settings: name: value", read.text_pairs, "object"),
    _passed("ulimits", "limits: name: soft[:hard]", read.ulimits, _PAIRS),
    _passed("security_opt", "seccomp=..., apparmor=..., no-new-privileges", read.texts, _MANY),
    _passed("privileged", "all capabilities and devices", read.flag, "boolean"),
    _passed("ipc_mode", "IPC namespace", read.text, "string"),
    _passed("pid_mode", "process namespace", read.text, "string"),
    _passed("uts_mode", "UTS namespace", read.text, "string"),
    _passed("userns_mode", "user namespace", read.text, "string"),
    _passed("cgroupns", "cgroup namespace: host or private", read.one_of("host", "private"), "string"),
    _passed("runtime", "another OCI runtime", read.text, "string"),
    _passed("shm_size", "size of /dev/shm", read.size, _TEXT_OR_NUMBER),
    _resource("mem_limit", "most memory", read.size, _TEXT_OR_NUMBER),
    _resource(
        "memswap_limit", "most memory with swap, -1: no limit", read.size_or_unlimited, _TEXT_OR_NUMBER
    ),
    _resource("mem_reservation", "memory that is aimed at", read.size, _TEXT_OR_NUMBER),
    _resource("mem_swappiness", "0 to 100", read.whole(0, 100), "integer"),
    _resource("cpu_shares", "relative weight", read.whole(0, 262144), "integer"),
    _resource("cpu_quota", "microseconds of each period", read.whole(-1, 10**9), "integer"),
    _resource("cpu_period", "microseconds", read.whole(0, 10**6), "integer"),
    _resource("cpu_rt_period", "microseconds", read.whole(0, 10**9), "integer"),
    _resource("cpu_rt_runtime", "microseconds", read.whole(0, 10**9), "integer"),
    _resource("cpuset_cpus", "processors: 0-3,5", read.cpus, _TEXT_OR_NUMBER),
    _resource("cpuset_mems", "memory nodes: 0,1", read.cpus, _TEXT_OR_NUMBER),
    _resource("nano_cpus", "processors in billionths", read.whole(0, 10**15), "integer"),
    _resource("pids_limit", "most processes, -1: no limit", read.whole(-1, 2**31 - 1), "integer"),
    _resource("cgroup_parent", "the parent cgroup", read.text, "string"),
    _resource("oom_kill_disable", "never killed for memory", read.flag, "boolean"),
    _resource("oom_score_adj", "-1000 to 1000", read.whole(-1000, 1000), "integer"),
    _resource("blkio_weight", "10 to 1000, 0: none", read.whole(0, 1000), "integer"),
    _resource("storage_opt", "options of the storage driver", read.text_pairs, "object"),
    _resource("log_config", "type and config of the engine's own log", read.log_config, "object"),
    _settled("detach", "containers always run in the background"),
    _settled("remove auto_remove", "containers are always removed"),
    _settled("init", "the idle process reaps its children in any case"),
    _settled("stdin_open", "scripts have no input"),
    _settled("stdout", "output is always read"),
    _settled("stderr", "output is always read"),
    Row(
        "entrypoint",
        "settled",
        "has no effect: stalker's own process idles in a container",
        why="stalker's own process idles in a container, and images keep the entrypoint of their base",
        json_type=_MANY,
    ),
    _refused("command", "stalker's own process idles in a container; scripts are exec plugins"),
    _refused("name", "stalker names its containers"),
    _refused("volumes mounts binds volumes_from volume_driver", "use plugins with path and bind, or store"),
    _refused("environment env_file", "use envplugins"),
    _refused("labels", "labels tell stalker its own containers and images"),
    _refused("healthcheck", "a step says by its exit code how it went"),
    _refused(
        "ports publish_all_ports port_bindings",
        "nothing outside talks to a step; steps of a stalk share their network",
    ),
    _refused("restart_policy", "use retries of the step"),
    _refused("read_only", "nothing could be committed"),
    _refused("platform", "it is said in the tree: `platform` of the tree or of the stalk's node"),
    _refused("stop_signal", "containers are removed, not stopped"),
    _refused("links networking_config", "use extra_hosts or a network"),
    _refused("isolation cpu_count cpu_percent credential_spec", "it is for Windows"),
    _refused("network_disabled", "use network: none"),
    _refused("mac_address", "steps in parallel could not share it"),
    _refused("image", "a stalk starts from its base or parent"),
    _refused("init_path", "the idle process of a container is stalker's own"),
    _refused("detach_keys", "nobody is attached"),
    _refused("stream", "output is always streamed"),
    _refused("use_config_proxy", "use envplugins"),
    _refused("device_requests", "use devices, or a runtime"),
    _refused("kernel_memory", "kernels no longer know it"),
    _refused(
        "device_read_bps device_write_bps device_read_iops device_write_iops blkio_weight_device",
        "it slows a step and changes nothing else",
    ),
    _refused("lxc_conf", "the engine no longer knows it"),
    _refused("version", "it is docker-py's own"),
)

ROWS: dict[str, Row] = {name: row for row in TABLE for name in (row.name, *row.aliases)}


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
    value = report.attempt(node.place, row.value, node)
    if value is None:
        return None
    return Option(row.name, json.dumps(value, sort_keys=True), row.counts, node.key_place)


def _settle(key: str, row: Row, node: Node, report: Report) -> None:
    if key == "entrypoint":
        report.warning(node.key_place, f"'entrypoint' has no effect: {row.why}")
        return
    if not isinstance(node.value, bool):
        report.problem(node.place, f"must be true or false, is {node.kind}")
    elif key == "detach" and not node.value:
        report.problem(node.place, f"'detach: false' is not possible: {row.why}")
    elif _SETTLED.get(key) is node.value:
        report.warning(node.place, f"'{key}: {node.text}' has no effect: {row.why}")


_SETTLED = {"init": False, "stdin_open": True, "stdout": False, "stderr": False}
"""Values that ask for something else than what happens anyway."""


def _check_together(found: dict[str, Option], report: Report) -> None:
    if "nano_cpus" in found and ("cpu_quota" in found or "cpu_period" in found):
        report.problem(
            found["nano_cpus"].place, "nano_cpus and cpu_quota with cpu_period say the same; keep one"
        )
    if value_of(found.get("network_mode")) == "host" and "hostname" in found:
        report.problem(found["hostname"].place, "hostname cannot be set in the host's own network")


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
