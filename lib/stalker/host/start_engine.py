"""Bring an engine up: the one that answers, else the one installed, else one from the distribution.

    answers?  ->  use it
    installed ->  systemd, else the init script, else dockerd itself in the background
    nothing   ->  the distribution's package, after a yes; then as above

Only the engine of this host is started. Where the user named another one (DOCKER_HOST, a context) that
does not answer, that is an error: a run must never go to an engine that the user did not mean.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.discovery import Candidate, answering, find_address, is_default
from stalker.errors import NoEngine
from stalker.host.install_engine import Host, install, is_installed, is_process, last_lines, look_around

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

START_S = 60.0
"""How long an engine may take to answer after its start: a large image store on a slow disk."""

POLL_S = 0.05

DOCKERD_PID = "/var/run/docker.pid"
SERVICE_PID = "/var/run/docker-ssd.pid"
SERVICE_LOG = "/var/log/docker.log"
PID_FILES = (
    (DOCKERD_PID, "dockerd"),
    (SERVICE_PID, "dockerd"),
    ("/var/run/docker/containerd/containerd.pid", "containerd"),
)
"""dockerd's own, that of Debian's init script, and that of the containerd that dockerd starts."""


def engine_up(
    *, yes: bool, ask: Callable[[str], bool] | None, say: Callable[[str], None], environ: Mapping[str, str]
) -> Candidate:
    """Return an engine that answers; start or install one when there is none.

    `ask` puts a yes-or-no question to the user, None where there is no terminal; `yes` answers it.
    `say` receives each thing that is done.

    Raises:
        NoEngine: there is none, with the command that the user must run, if there is one.
    """
    candidates = find_address(environ, environ.get("HOME") or str(Path("~").expanduser()))
    try:
        found = answering(candidates)
    except NoEngine as nobody:
        # To start an engine helps neither who named another one nor who may not use the one that runs.
        if (
            not any(is_default(candidate) for candidate in candidates)
            or "permission denied" in nobody.details
        ):
            raise
    else:
        say(f"an engine answers at {found.address.url} ({found.source})")
        return found
    host = look_around(environ)
    if not is_installed(host):
        install(host, yes=yes, ask=ask, say=say)
    return start(host, candidates, say)


def start(host: Host, candidates: Sequence[Candidate], say: Callable[[str], None]) -> Candidate:
    """Start the installed engine by the first way that there is, and wait until it answers."""
    if not host.is_root:
        return _start_as_user(host, candidates, say)
    if not host.program("dockerd"):
        return _start_podman(host, candidates, say)
    if host.has_systemd and _has_unit(host, "docker.service"):
        # systemd refuses a unit that failed too often a moment ago.
        host.run(["systemctl", "reset-failed", "docker.service"], START_S)
        command = ["systemctl", "start", "docker.service"]
        return _start_by(host, command, candidates, say, log="journalctl -u docker")
    if _clear_the_way(say):
        return _wait(candidates, say, lambda: None, log=SERVICE_LOG)
    if Path("/etc/init.d/docker").exists() and host.program("service"):
        try:
            return _start_service(host, candidates, say)
        except NoEngine as error:
            say(f"the init script did not help: {(error.details.splitlines() or [error.brief])[-1]}")
            if _clear_the_way(say):
                return _wait(candidates, say, lambda: None, log=SERVICE_LOG)
    _mount_cgroups(host, say)
    return _start_in_background(host, [host.program("dockerd")], candidates, say)


def _start_as_user(host: Host, candidates: Sequence[Candidate], say: Callable[[str], None]) -> Candidate:
    for unit in ("docker.service", "podman.socket"):
        if host.has_systemd and _has_unit(host, unit, "--user"):
            command = ["systemctl", "--user", "start", unit]
            return _start_by(host, command, candidates, say, log=f"journalctl --user -u {unit}")
    raise NoEngine(
        "the installed engine does not run",
        "starting it needs root",
        "sudo systemctl start docker" if host.has_systemd else "sudo service docker start",
    )


def _start_podman(host: Host, candidates: Sequence[Candidate], say: Callable[[str], None]) -> Candidate:
    if host.has_systemd and _has_unit(host, "podman.socket"):
        command = ["systemctl", "start", "podman.socket"]
        return _start_by(host, command, candidates, say, log="journalctl -u podman.socket")
    Path("/run/podman").mkdir(parents=True, exist_ok=True)
    serve = [host.program("podman"), "system", "service", "--time=0", "unix:///run/podman/podman.sock"]
    return _start_in_background(host, serve, candidates, say)


def _has_unit(host: Host, unit: str, *scope: str) -> bool:
    return bool(host.program("systemctl")) and host.run(["systemctl", *scope, "cat", unit], 10) is None


def _start_service(host: Host, candidates: Sequence[Candidate], say: Callable[[str], None]) -> Candidate:
    """Start dockerd by Debian's init script, which says nothing of how dockerd fares."""

    def last_words() -> str | None:
        pid = _read_pid(SERVICE_PID)
        if pid and Path(f"/proc/{pid}").exists():
            return None
        try:
            return last_lines(Path(SERVICE_LOG).read_bytes()) or "it wrote nothing to its log"
        except OSError as error:
            return str(error)

    command = ["service", "docker", "start"]
    return _start_by(host, command, candidates, say, log=SERVICE_LOG, last_words=last_words)


def _start_by(
    host: Host,
    command: Sequence[str],
    candidates: Sequence[Candidate],
    say: Callable[[str], None],
    *,
    log: str,
    last_words: Callable[[], str | None] = lambda: None,
) -> Candidate:
    """Start an engine by a service manager, and wait for it."""
    say(f"starting the installed engine: {' '.join(command)}")
    failure = host.run(command, START_S)
    if failure is not None:
        raise NoEngine("the engine could not be started", failure, f"its log says why: {log}")
    return _wait(candidates, say, last_words, log=log)


def _start_in_background(
    host: Host, command: Sequence[str], candidates: Sequence[Candidate], say: Callable[[str], None]
) -> Candidate:
    """Start an engine as a process of its own that outlives us, its output in a log file."""
    log = _log_file(Path(command[0]).name)
    say(f"starting {' '.join(command)} in the background; its log is {log}")
    with log.open("ab") as output:
        began = output.tell()
        # In a session of its own: Ctrl-C in our terminal must not end the engine.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(host.environ),
            cwd="/",
            start_new_session=True,
        )

    def last_words() -> str | None:
        if process.poll() is None:
            return None
        with log.open("rb") as said:
            said.seek(began)
            return last_lines(said.read()) or f"exit {process.returncode}"

    return _wait(candidates, say, last_words, log=str(log))


def _wait(
    candidates: Sequence[Candidate],
    say: Callable[[str], None],
    last_words: Callable[[], str | None],
    *,
    log: str,
) -> Candidate:
    """Wait until an engine answers; `last_words` returns what it said when it has ended."""
    began = time.monotonic()
    while True:
        try:
            found = answering(candidates)
        except NoEngine as error:
            words = last_words()
            # Of two that are started at once, one ends and the other serves both.
            if words is not None and not is_process(_read_pid(DOCKERD_PID), "dockerd"):
                raise NoEngine(
                    "the engine ended as soon as it was started", words, f"its log: {log}"
                ) from error
            if time.monotonic() - began > START_S:
                raise NoEngine(
                    f"the engine was started but does not answer after {START_S:.0f} s",
                    error.details,
                    f"its log says why: {log}",
                ) from error
            time.sleep(POLL_S)
        else:
            say(f"the engine answers at {found.address.url} after {time.monotonic() - began:.1f} s")
            return found


def _clear_the_way(say: Callable[[str], None]) -> bool:
    """Remove what a killed engine left and a new one trips over; say whether one is just starting.

    dockerd takes any living process with the number in its pid file for itself and ends; where
    another process has the number of its containerd now, it waits for that in vain.
    """
    is_starting = False
    for file, program in PID_FILES:
        pid = _read_pid(file)
        if pid and is_process(pid, program):
            if program == "dockerd" and not is_starting:
                say(f"dockerd is already there as process {pid}, and does not answer yet")
                is_starting = True
        elif Path(file).exists():
            Path(file).unlink(missing_ok=True)
            say(f"removed {file}: process {pid or '?'} is not {program}")
    return is_starting


def _read_pid(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _mount_cgroups(host: Host, say: Callable[[str], None]) -> None:
    """Give dockerd control groups where nothing else mounted them: a host without an init system."""
    root = Path("/sys/fs/cgroup")
    if root.is_dir() and not any(root.iterdir()):
        failure = host.run(["mount", "-t", "cgroup2", "cgroup2", str(root)], 10)
        say(f"mounted control groups on {root}" if failure is None else f"no control groups: {failure}")


def _log_file(name: str) -> Path:
    for folder in ("/var/log", tempfile.gettempdir()):
        if os.access(folder, os.W_OK):
            return Path(folder) / f"{name}.log"
    raise NoEngine("no folder for the engine's log", "/var/log cannot be written", "fix its permissions")
