"""From a `ContainerSpec` to what the engine is given: the idle process, mounts, options.

The same layers under another configuration: a platform, labels, no volumes.

An engine such as Docker 20.10 writes its own architecture into whatever it imports, and gives every
container of an image the anonymous volumes that the image asks for. It takes a `docker load` archive
for an image whose layers it has already without these layers being in the archive: so the
configuration alone, some hundred bytes, makes the other image, and no byte of content moves again.

An engine that keeps its images in containerd refuses such an archive, and so does Podman. There the image is
read from the engine and loaded again as it comes, with the other configuration.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stalker.errors import EngineError
from stalker.io.chunk_reader import Readable
from stalker.model import labels as of_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stalker.engine.interface import ContainerSpec
    from stalker.model.images import Image
    from stalker.model.platforms import Platform


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


_PIECE_BYTES = 1 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)
_MANIFEST = "manifest.json"
_INDEXES = {_MANIFEST, "repositories", "index.json", "oci-layout"}
"""The files of a saved image that name its configuration; ours come in their place."""


@dataclass(frozen=True, slots=True)
class Configured:
    """An image's configuration as the bytes that its id is made of, and the digests of its layers."""

    content: bytes
    layers: tuple[str, ...]

    @property
    def id(self) -> str:
        """The image's id on engines that take it from the configuration."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def archive(self, name: str = "") -> bytes:
        """Return a `docker load` archive without layers, which makes the image under `name`, if any."""
        layers = [f"{layer.rpartition(':')[2]}/layer.tar" for layer in self.layers]
        return b"".join(self._members(name, layers)) + _END

    def rewritten(self, saved: Iterable[bytes], name: str = "") -> Iterator[bytes]:
        """Yield the archive of a saved image with this configuration in place of its own, as it comes.

        Raises EngineError when the saved one breaks off.
        """
        try:
            yield from self._rewritten(saved, name)
        except tarfile.TarError as error:
            raise EngineError("the engine did not send a whole image", str(error)) from error

    def _rewritten(self, saved: Iterable[bytes], name: str) -> Iterator[bytes]:
        layers: list[str] = []
        with tarfile.open(fileobj=Readable(iter(saved)), mode="r|") as archive:
            for member in archive:
                if member.name == _MANIFEST:
                    layers = json.loads(b"".join(_pieces(archive, member)))[0]["Layers"]
                if member.name not in _INDEXES:
                    yield from _member(member, _pieces(archive, member))
        yield from self._members(name, layers)
        yield _END

    def _members(self, name: str, layers: list[str]) -> Iterator[bytes]:
        file = f"{self.id.removeprefix('sha256:')}.json"
        manifest = [{"Config": file, "RepoTags": [name] if name else None, "Layers": layers}]
        for path, data in ((file, self.content), (_MANIFEST, json.dumps(manifest).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            yield from _member(member, [data])


def has_platform(found: Mapping[str, Any], wanted: Platform) -> bool:
    """Return whether an inspected image is of a platform; 64-bit ARM may or may not call itself v8."""
    variant = str(found.get("Variant") or "")
    same_variant = variant == wanted.variant or (wanted.architecture, variant) == ("arm64", "v8")
    return found.get("Architecture") == wanted.architecture and same_variant


def relabelled(found: Mapping[str, Any], wanted: Platform, labels: Mapping[str, str]) -> Configured:
    """Return an inspected image as one of another platform, with more labels."""
    own = found.get("Config") or {}
    config = {**own, "Labels": {**(own.get("Labels") or {}), **labels}}
    platform = {"Os": wanted.os, "Architecture": wanted.architecture, "Variant": wanted.variant}
    return _configured({**found, **platform}, config)


def without_volumes(found: Mapping[str, Any], labels: Mapping[str, str]) -> Configured:
    """Return an inspected image that asks for no volumes, with `labels` for those of ours."""
    own = found.get("Config") or {}
    kept = {
        name: value
        for name, value in (own.get("Labels") or {}).items()
        if not name.startswith(of_ours.PREFIX)
    }
    config = {name: value for name, value in own.items() if name != "Volumes"}
    return _configured({**found, "Comment": ""}, {**config, "Labels": {**kept, **labels}})


def _configured(found: Mapping[str, Any], config: Mapping[str, Any]) -> Configured:
    created, comment = found.get("Created"), str(found.get("Comment") or "")
    layers = (found.get("RootFS") or {}).get("Layers") or []
    whole = {
        **{
            name.lower(): found[name]
            for name in ("Architecture", "Variant", "Os", "Author")
            if found.get(name)
        },
        **({"os.version": found["OsVersion"]} if found.get("OsVersion") else {}),
        "created": created,
        "comment": comment,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": [{"created": created, "comment": comment} for _ in layers],
    }
    return Configured(json.dumps(whole, sort_keys=True).encode(), tuple(layers))


def _member(member: tarfile.TarInfo, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield member.tobuf(tarfile.PAX_FORMAT)
    yield from pieces
    yield bytes(-member.size % tarfile.BLOCKSIZE)


def _pieces(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = archive.extractfile(member) if member.isreg() else None
    while content is not None and (data := content.read(_PIECE_BYTES)):
        yield data
