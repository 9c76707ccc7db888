"""From a `ContainerSpec` to what the engine is given: the idle process, mounts, options."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stalker.engine.interface import ContainerSpec
    from stalker.model.images import Image

IDLE_FILE = "/dev/.stalker/idle"

IDLE = f"""mkdir -p /dev/.stalker
exec 3<&0
while read -r line; do :; done <&3 &
echo $! >{IDLE_FILE}
wait"""
"""The program of a container's first process. A child, the idle process, reads the connection that the
engine object holds open; at its end, also by a kill, `wait` returns and the container stops. So a container
that runs has a living owner. A shell in `wait` reaps every orphan, one in `read` none: hence two processes.
A background command of a shell has an empty input unless it is given another one, hence descriptor 3.
`/dev` is a tmpfs in each container, so nothing of this is in an image."""

OF_CONTAINER = {
    "hostname": "Hostname",
    "domainname": "Domainname",
}

OF_EXEC = {"user", "working_dir", "tty"}
"""Given with each exec: the first process itself runs as root at `/`, and a terminal has no end of input."""


def container_body(
    spec: ContainerSpec, image: Image, capabilities: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body of a create call and the arguments of its host configuration.

    `capabilities` are those that the container gets unless its options drop them. The body names no environment,
    command, directory or volume: the commit keeps the image's own.
    """
    options = {option.name: json.loads(option.value) for option in spec.options}
    body: dict[str, Any] = {
        "Image": image.id,
        "Entrypoint": ["/bin/sh", "-c", IDLE],
        "Labels": dict(spec.labels),
        "OpenStdin": True,
        "StdinOnce": True,  # its input ends with the one connection that was attached
        # The idle shell ignores SIGTERM, as every first process does: an engine that is stopped or
        # comes up again would wait ten seconds for each container.
        "StopTimeout": 0,
    }
    if image.config.get("User"):
        body["User"] = "0"  # kept out of the commit by the image's own, which is set
    if image.config.get("Healthcheck"):
        body["Healthcheck"] = {"Test": ["NONE"]}
    host: dict[str, Any] = {}
    for name, value in options.items():
        if name in OF_CONTAINER:
            body[OF_CONTAINER[name]] = value
        elif name not in OF_EXEC:
            host["network_mode" if name == "network" else name] = value
    dropped = {name.upper().removeprefix("CAP_") for name in host.get("cap_drop") or ()}
    if capabilities - dropped and "ALL" not in dropped:
        host["cap_add"] = sorted({*(host.get("cap_add") or ()), *(capabilities - dropped)})
    if spec.hosts and host.get("network_mode") != "host":
        host["extra_hosts"] = {**(host.get("extra_hosts") or {}), **dict(spec.hosts)}
    if spec.network_of:
        host["network_mode"] = f"container:{spec.network_of}"
    mounts = [
        {
            "Type": "volume" if mount.kind == "store" else "bind",
            "Source": mount.source if mount.kind == "store" else _absolute(mount.source, spec.workspace),
            "Target": mount.target,
            "ReadOnly": not mount.writable,
            **({"VolumeOptions": {"NoCopy": True}} if mount.kind == "store" else {}),
        }
        for mount in spec.mounts
    ]
    if mounts:
        host["mounts"] = mounts
    return body, host


def mount_points(spec: ContainerSpec) -> list[str]:
    """Return the targets that the engine makes in the root file system when they are not there."""
    return [*(mount.target for mount in spec.mounts), *tmpfs_points(spec)]


def tmpfs_points(spec: ContainerSpec) -> tuple[str, ...]:
    """Return where the options of a container put file systems in memory."""
    return tuple(
        target for option in spec.options if option.name == "tmpfs" for target in json.loads(option.value)
    )


def _absolute(source: str, workspace: str) -> str:
    return os.path.normpath(os.path.join(workspace, source))  # noqa: PTH118
