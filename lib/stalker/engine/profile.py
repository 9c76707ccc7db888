"""The kind of engine that answers and what it needs: described once. No other module asks for a kind by name.

- Docker, 20.10 and newer: the reference. It may keep its images in containerd, see `EngineInfo`.
- Podman, 5.0 and newer, by its Docker-compatible service: it takes a commit's configuration as `changes`
  alone, writes names with their registry and ids without `sha256:`, and leaves files of its own in what it
  commits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stalker.engine.docker.http import API_OLDEST, docker_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.engine.interface import EngineInfo

OLDEST_PODMAN = (5, 0)

HONOURS_PLATFORM = (1, 42)
"""The API of the first engines that give an imported image the platform that is asked for (moby#43103)."""

LAYERS_MAX = 125
"""What overlay2 takes, and what is assumed of any other storage driver."""

LAYERS_OF_CONTAINERD = 150
"""As many were tried with containerd's own overlayfs, which refuses none of them."""

_STATES = {"stopped": "exited", "configured": "created", "initialized": "created", "stopping": "running"}
"""Podman's words for the state of a container -> Docker's."""

_UNKNOWN = (
    "64-byte hexadecimal",
    "no such container",
    "no container with",
    "no such exec session",
    "image not known",
    "layer not known",
)
"""What Podman says with status 500 of what it does not know."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an engine's answer to a ping says of it. `api` is the newest version that it speaks."""

    kind: Literal["Docker", "Podman"] = "Docker"
    version: tuple[int, ...] = ()
    api: tuple[int, ...] = API_OLDEST

    @property
    def title(self) -> str:
        """The kind with its version, `Podman 5.4.2`."""
        return " ".join(filter(None, (self.kind, ".".join(map(str, self.version)))))

    @property
    def refusal(self) -> tuple[str, str]:
        """Why this engine cannot be used and what can; two empty texts when it can."""
        if self.kind == "Podman" and self.version and self.version < OLDEST_PODMAN:
            return (
                f"{self.title} loses the labels and the configuration of what it commits, so no step would be found again",
                "install Podman 5.4 or newer, or Docker 20.10 or newer",
            )
        if self.api < API_OLDEST:
            return (
                f"{self.title} speaks API {'.'.join(map(str, self.api))}, and {'.'.join(map(str, API_OLDEST))} is needed",
                "install Docker 20.10 or newer",
            )
        return "", ""

    @property
    def gives_platform(self) -> bool:
        """Return whether an imported image gets the platform that is asked for."""
        return self.kind == "Docker" and self.api >= HONOURS_PLATFORM

    @property
    def takes_config(self) -> bool:
        """Return whether a commit takes its configuration as a body; else as `changes`."""
        return self.kind == "Docker"

    @property
    def lacks_capabilities(self) -> frozenset[str]:
        """What Docker gives each container and this engine only where it is asked for."""
        return frozenset({"AUDIT_WRITE", "MKNOD", "NET_RAW"}) if self.kind == "Podman" else frozenset()

    @property
    def passes_comments_on(self) -> bool:
        """Return whether an image has the comment of the one that it was made of, where it was given none of its own."""
        return self.kind == "Podman"

    @property
    def keeps_what_others_grow_on(self) -> bool:
        """Return whether an image stays when its last name is removed and another image grows on it."""
        return self.kind == "Docker"

    @property
    def takes_parents_along(self) -> bool:
        """Return whether the untagged images below one go with it. By Podman that fails where a container uses one of them."""
        return self.kind == "Docker"

    def label_change(self, name: str, value: str) -> str:
        """Return the line that gives an imported image a label. Podman takes what is between the outer quotes as it is."""
        if self.kind == "Podman":
            return f'LABEL {name}="{value}"'
        return f"LABEL {name}={json.dumps(value)}"

    def container_state(self, state: str) -> str:
        """Return the state of a container in Docker's words."""
        return _STATES.get(state, state)

    def engine_id(self, info: Mapping[str, Any]) -> str:
        """Return an engine's own unique name from its answer to `/info`; Podman invents an id for each answer."""
        if self.kind == "Podman":
            return f"{info.get('Name', '')}:{info.get('DockerRootDir', '')}"
        return str(info.get("ID") or info.get("Name", ""))

    def waits_for_joined(self, said: str) -> bool:
        """Return whether a refusal means that another container uses the network of one, so that it goes first."""
        return self.kind == "Podman" and "dependent containers" in said

    def is_unknown(self, said: str) -> bool:
        """Return whether a refusal means that something is not there, also where its status does not say so."""
        return self.kind == "Podman" and any(words in said.lower() for words in _UNKNOWN)

    def image_name(self, name: str) -> str:
        """Return the name of an image as Docker would list it."""
        return name if self.kind == "Docker" else docker_name(name)


def profile_of(answer: Mapping[str, str]) -> Profile:
    """Read the headers of an answer to a ping, names in lower case."""
    api = _numbers(answer.get("api-version", "")) or API_OLDEST
    if "libpod-api-version" in answer:
        return Profile("Podman", _numbers(answer["libpod-api-version"]), api)
    program, _, rest = answer.get("server", "").partition("/")
    return Profile("Docker", _numbers(rest.split(" ")[0]) if program == "Docker" else (), api)


def limits_of(info: EngineInfo) -> list[str]:
    """Return what an engine does not do as Docker with overlay2 does, one sentence each."""
    found = []
    if info.is_rootless:
        found.append(
            "rootless: no device nodes, no owners outside of the range in /etc/subuid, no emulators to register"
        )
    if info.kind == "Podman":
        found.append(
            "Podman: commits keep no HEALTHCHECK, ONBUILD and SHELL of a base, and add container=podman to the "
            "environment"
        )
    if loses_variants(info):
        found.append("images keep no variant of 32-bit ARM: linux/arm/v6 and v5 read as v7 afterwards")
    return found


def loses_variants(info: EngineInfo) -> bool:
    """Return whether a committed image keeps no variant of its platform."""
    return info.kind == "Podman" or info.is_containerd


def is_containerd(info: Mapping[str, Any]) -> bool:
    """Say by an answer to `/info` whether Docker keeps its images in containerd."""
    status = [entry for entry in info.get("DriverStatus") or () if len(entry) == 2]
    return any(name == "driver-type" and "containerd" in value for name, value in status)


def layers_max(info: Mapping[str, Any]) -> int:
    """Return how many layers an image may have, by an answer to `/info`."""
    return LAYERS_OF_CONTAINERD if is_containerd(info) else LAYERS_MAX


def changes_of(config: Mapping[str, Any]) -> list[str]:
    """Return an image's configuration as the lines of a Dockerfile that set it, for a commit.

    What is empty is set too, where a container has it from its own start: entry point, command, directory.
    """
    lines = [
        f"ENTRYPOINT {json.dumps(config.get('Entrypoint') or [])}",
        f"CMD {json.dumps(config.get('Cmd') or [])}",
    ]
    lines += [
        f"ENV {name}={_quoted(value)}"
        for name, _, value in (e.partition("=") for e in config.get("Env") or ())
    ]
    lines += [
        f"LABEL {_quoted(name)}={_quoted(value)}" for name, value in (config.get("Labels") or {}).items()
    ]
    lines += [f"USER {config['User']}"] if config.get("User") else []
    lines.append(f"WORKDIR {config.get('WorkingDir') or '/'}")
    lines += [f"EXPOSE {port}" for port in config.get("ExposedPorts") or ()]
    lines += [f"VOLUME {json.dumps([path])}" for path in config.get("Volumes") or ()]
    if config.get("StopSignal"):
        lines.append(f"STOPSIGNAL {config['StopSignal']}")
    lines += [f"ONBUILD {line}" for line in config.get("OnBuild") or ()]
    lines += [f"SHELL {json.dumps(config['Shell'])}"] if config.get("Shell") else []
    lines += _health_check(config.get("Healthcheck") or {})
    return lines


def _health_check(check: Mapping[str, Any]) -> list[str]:
    test = list(check.get("Test") or ())
    if not test:
        return []
    times = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}
    options = [f"--{option}={check[name] // 1000}us" for option, name in times.items() if check.get(name)]
    options += [f"--retries={check['Retries']}"] if check.get("Retries") else []
    said = {"NONE": "NONE", "CMD-SHELL": f"CMD {' '.join(test[1:])}"}.get(
        test[0], f"CMD {json.dumps(test[1:])}"
    )
    return [" ".join(["HEALTHCHECK", *options, said])]


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
