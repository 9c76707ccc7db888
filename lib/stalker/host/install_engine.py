"""Install an engine on this host: the user, the programs that are installed, the commands that are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.discovery import user_name
from stalker.errors import NoEngine
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


LIMIT_S = 1800.0
QUERY_S = 60.0


def by_itself() -> str:
    """Return the call that installs an engine without a question."""
    return f"{program()} engine up --yes"


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
    """Return whether an engine is installed, running or not."""
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
            f"install Docker by hand, then run {program()} engine up",
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
        raise NoEngine("the engine could not be installed", failure, f"fix that, then: {line}")


def _command(host: Host, installer: Installer) -> list[str]:
    """Return the command that installs the engine, with the parts that the package lists have."""
    parts = [name for name in installer.parts if host.run([*installer.known, name], QUERY_S) is None]
    return [*installer.install, *parts, *_loader_of_profiles(installer)]


def _ask(ask: Callable[[str], bool] | None, line: str) -> None:
    if ask is None:
        raise NoEngine(
            "no engine is installed",
            "there is no terminal to ask whether to install one",
            f"{by_itself()}        runs: {line}",
        )
    if not ask(f"No container engine is installed. Install one now ({line})?"):
        raise NoEngine("no engine is installed", "and none was to be installed", by_itself())


def _loader_of_profiles(installer: Installer) -> tuple[str, ...]:
    """Name AppArmor's loader where the kernel enforces it: containers do not start without."""
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text(encoding="ascii").strip()
    except OSError:
        return ()
    return ("apparmor",) if enabled == "Y" and installer.program == "apt-get" else ()


@dataclass(frozen=True, slots=True)
class Host:
    """What decides how an engine is brought up; `environ` is what programs are run with."""

    is_root: bool
    has_systemd: bool
    user: str
    environ: Mapping[str, str]

    def program(self, name: str) -> str:
        """Return where a program is, empty when it is not there."""
        path = self.environ.get("PATH", os.defpath)
        return shutil.which(name, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin") or ""

    def run(self, command: Sequence[str], timeout_s: float) -> str | None:
        """Run a command; return None when it went well, else its last lines.

        Its output goes to a file: a service that it starts may keep a pipe open for ever.
        """
        environ = {**self.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    [self.program(command[0]) or command[0], *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environ,
                    timeout=timeout_s,
                    check=False,
                )
            except OSError as error:
                return f"{command[0]}: {error.strerror}"
            except subprocess.TimeoutExpired:
                return f"{' '.join(command)}: no end after {timeout_s:.0f} s"
            if done.returncode == 0:
                return None
            output.seek(0)
            return last_lines(output.read()) or f"{' '.join(command)}: exit {done.returncode}"


def look_around(environ: Mapping[str, str]) -> Host:
    """See who we are and what runs services here."""
    return Host(
        is_root=os.geteuid() == 0,
        has_systemd=Path("/run/systemd/system").is_dir(),
        user=user_name(),
        environ=environ,
    )


def is_process(pid: str, program: str) -> bool:
    """Return whether a living process has this number and this name; a zombie has ended."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return False
    head, _, rest = stat.rpartition(")")
    return head.partition("(")[2] == program and rest.split()[0] not in {"Z", "X", "x"}


def last_lines(data: bytes, count: int = 20) -> str:
    """Return the end of what a program wrote."""
    return "\n".join(data.decode("utf-8", "replace").strip().splitlines()[-count:])
