"""From a `ContainerSpec` to what the engine is given: the idle process, mounts, options."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stalker.engine.interface import ContainerSpec
    from stalker.model.images import Image

IDLE_FILE = "/dev/.stalker/idle"

IDLE = f"mkdir -p /dev/.stalker; sleep 2147483647 & echo $! >{IDLE_FILE}; wait"
"""What a container of ours does by itself: it sleeps, and reaps what scripts leave behind: a shell in
`wait` collects every orphan. `/dev` is a tmpfs in each container, so nothing of this is in an image."""

OF_CONTAINER = {
    "hostname": "Hostname",
    "domainname": "Domainname",
    "tty": "Tty",
}

OF_EXEC = {"user", "working_dir"}
"""Given with each exec: the idle process itself runs as root at `/`."""


def container_body(spec: ContainerSpec, image: Image) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body of a create call and the arguments of its host configuration.

    The body names no environment, command, directory or volume: the commit keeps the image's own.
    """
    options = {option.name: json.loads(option.value) for option in spec.options}
    body: dict[str, Any] = {
        "Image": image.id,
        "Entrypoint": ["/bin/sh", "-c", IDLE],
        "Labels": dict(spec.labels),
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
