"""Install the distribution's own engine with its package manager, after a yes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import NoEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.host import Host

LIMIT_S = 1800.0
QUERY_S = 60.0
BY_ITSELF = "./stalker engine up --yes"


@dataclass(frozen=True, slots=True)
class Installer:
    """How a package manager installs an engine: a command to refresh its lists, one to install.

    `parts` are packages that only some releases have: `known`, followed by a name, succeeds on those.
    """

    program: str
    install: tuple[str, ...]
    refresh: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


INSTALLERS = (
    Installer(
        "apt-get",
        ("apt-get", "install", "-y", "--no-install-recommends", "docker.io", "ca-certificates"),
        ("apt-get", "update"),
        # Debian 13 has the command `docker` in a package of its own, which docker.io only recommends.
        parts=("docker-cli",),
        known=("apt-cache", "show"),
    ),
    Installer("dnf", ("dnf", "install", "-y", "moby-engine")),
    Installer("zypper", ("zypper", "--non-interactive", "install", "docker")),
    Installer("pacman", ("pacman", "-Sy", "--noconfirm", "docker")),
    Installer("apk", ("apk", "add", "--no-cache", "docker")),
)


def is_installed(host: Host) -> bool:
    """Say whether an engine is installed, running or not."""
    return bool(host.program("dockerd") or host.program("podman"))


def install(host: Host, *, yes: bool, ask: Callable[[str], bool] | None, say: Callable[[str], None]) -> None:
    """Install an engine; `yes`, `ask` and `say` as in `engine_up`.

    Raises:
        NoEngine: it may not be installed, or could not be.
    """
    installer = next((one for one in INSTALLERS if host.program(one.program)), None)
    if installer is None:
        raise NoEngine(
            "no engine is installed, and no package manager that is known here was found",
            f"looked for {', '.join(one.program for one in INSTALLERS)}",
            "install Docker by hand, then run ./stalker engine up",
        )
    command = _command(host, installer)
    line = " ".join(command)
    if not host.is_root:
        raise NoEngine(
            "no engine is installed",
            "installing one needs root",
            f"sudo {line} && sudo usermod -aG docker {host.user}     then log in again",
        )
    if not yes:
        _ask(ask, line)
    say(f"installing an engine: {line}")
    failure = host.run(command, LIMIT_S)
    if failure is not None and installer.refresh:
        # The lists are missing, or older than what the mirror holds.
        say(f"refreshing the package lists: {' '.join(installer.refresh)}")
        failure = host.run(installer.refresh, LIMIT_S)
        command = _command(host, installer)
        line = " ".join(command)
        failure = failure or host.run(command, LIMIT_S)
    if failure is not None:
        raise NoEngine("the engine could not be installed", failure, f"mend that, then: {line}")


def _command(host: Host, installer: Installer) -> list[str]:
    """Return the command that installs the engine, with the parts that the package lists have."""
    parts = [name for name in installer.parts if host.run([*installer.known, name], QUERY_S) is None]
    return [*installer.install, *parts, *_loader_of_profiles(installer)]


def _ask(ask: Callable[[str], bool] | None, line: str) -> None:
    if ask is None:
        raise NoEngine(
            "no engine is installed",
            "there is no terminal to ask whether to install one",
            f"{BY_ITSELF}        runs: {line}",
        )
    if not ask(f"No container engine is installed. Install one now ({line})?"):
        raise NoEngine("no engine is installed", "and none was to be installed", BY_ITSELF)


def _loader_of_profiles(installer: Installer) -> tuple[str, ...]:
    """Name AppArmor's loader where the kernel enforces it: containers do not start without."""
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text(encoding="ascii").strip()
    except OSError:
        return ()
    return ("apparmor",) if enabled == "Y" and installer.program == "apt-get" else ()
