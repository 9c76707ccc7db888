"""The options of DOCKER_OPTS, one row each: passed on, settled by stalker, or refused, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stalker.config import option_values as read

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.document import Node


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


def _refused(name: str, why: str, *aliases: str) -> Row:
    return Row(name, "refused", "refused: " + why, counts=False, aliases=aliases, why=why)


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
    Row(
        "detach",
        "settled",
        "true: containers always run in the background",
        read.flag,
        why="containers always run in the background",
        json_type="boolean",
    ),
    Row(
        "remove",
        "settled",
        "containers are always removed",
        read.flag,
        aliases=("auto_remove",),
        why="containers are always removed",
        json_type="boolean",
    ),
    Row(
        "init",
        "settled",
        "the idle process reaps its children in any case",
        read.flag,
        why="the idle process reaps its children in any case",
        json_type="boolean",
    ),
    Row(
        "stdin_open",
        "settled",
        "scripts have no input",
        read.flag,
        why="scripts have no input",
        json_type="boolean",
    ),
    Row(
        "stdout",
        "settled",
        "output is always read",
        read.flag,
        why="output is always read",
        json_type="boolean",
    ),
    Row(
        "stderr",
        "settled",
        "output is always read",
        read.flag,
        why="output is always read",
        json_type="boolean",
    ),
    Row(
        "entrypoint",
        "settled",
        "has no effect: stalker's own process idles in a container",
        why="stalker's own process idles in a container, and images keep the entrypoint of their base",
        json_type=_MANY,
    ),
    _refused("command", "stalker's own process idles in a container; scripts are exec plugins"),
    _refused("name", "stalker names its containers"),
    _refused(
        "volumes",
        "use plugins with path and bind, or store",
        "mounts",
        "binds",
        "volumes_from",
        "volume_driver",
    ),
    _refused("environment", "use envplugins", "env_file"),
    _refused("labels", "labels tell stalker its own containers and images"),
    _refused("healthcheck", "a step says by its exit code how it went"),
    _refused(
        "ports",
        "nothing outside talks to a step; steps of a stalk share their network",
        "publish_all_ports",
        "port_bindings",
    ),
    _refused("restart_policy", "use retries of the step"),
    _refused("read_only", "nothing could be committed"),
    _refused("platform", "it is said in the tree: `platform` of the tree or of the stalk's node"),
    _refused("stop_signal", "containers are removed, not stopped"),
    _refused("links", "use extra_hosts or a network", "networking_config"),
    _refused("isolation", "it is for Windows", "cpu_count", "cpu_percent", "credential_spec"),
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
        "device_read_bps",
        "it slows a step and changes nothing else",
        "device_write_bps",
        "device_read_iops",
        "device_write_iops",
        "blkio_weight_device",
    ),
    _refused("lxc_conf", "the engine no longer knows it"),
    _refused("version", "it is docker-py's own"),
)

ROWS: dict[str, Row] = {name: row for row in TABLE for name in (row.name, *row.aliases)}
