"""Which engine to talk to: the places where one may listen, and the first of them that answers.

The order is Docker's own, then what it leaves out:

    DOCKER_HOST, else DOCKER_CONTEXT, else the       the user's word: nothing else is tried then
    current context of the docker CLI
    /var/run/docker.sock                             the default
    $XDG_RUNTIME_DIR/docker.sock, ~/.docker/run/...  rootless Docker, Docker Desktop
    $XDG_RUNTIME_DIR/podman/..., /run/podman/...     Podman's Docker-compatible service

An engine is asked `GET /_ping`, which takes about a millisecond. docker-py is not needed for it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stalker.engine.docker import http
from stalker.engine.profile import Profile, profile_of
from stalker.errors import NoEngine
from stalker.io.user_dirs import runtime_dir
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_SOCKET = "/var/run/docker.sock"


def up() -> str:
    """Return the call that starts an engine on this host."""
    return f"{program()} engine up"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where an engine may listen.

    `source` is who names it, in words. `is_asked_for`: the user named it, so no other may be in
    for it. `problem` is what is already known to be wrong with it, else empty.
    """

    address: http.Address
    source: str
    is_asked_for: bool = False
    problem: str = ""

    @property
    def socket(self) -> str:
        """The path of its Unix socket, empty for another kind of address."""
        return self.address.url.removeprefix("unix://") if self.address.url.startswith("unix://") else ""


@dataclass(frozen=True, slots=True)
class Pong:
    """What an engine answers to a ping; `headers` have lower-case names and values."""

    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        """The newest API it speaks, `1.41`; empty when it does not say."""
        return self.headers.get("api-version", "")

    @property
    def profile(self) -> Profile:
        """What kind of engine it is."""
        return profile_of(self.headers)


def find_address(environ: Mapping[str, str], home: str) -> list[Candidate]:
    """List the places to look at, best first; one alone when the user named it.

    Reads the docker CLI's configuration below `home` (or DOCKER_CONFIG); asks no engine.
    """
    config = Path(environ.get("DOCKER_CONFIG") or f"{home}/.docker")
    host = environ.get("DOCKER_HOST", "").strip()
    if host:
        return [Candidate(_host_address(host, environ, config), "DOCKER_HOST", is_asked_for=True)]
    name = environ.get("DOCKER_CONTEXT", "").strip()
    source = "DOCKER_CONTEXT"
    if not name:
        name = _current_context(config)
        source = "the current context of docker"
    if name and name != "default":
        return [_context(config, name, f"{source}, '{name}'")]
    return _usual_places(environ, home)


def is_default(candidate: Candidate) -> bool:
    """Return whether it is where the engine of this host listens when it runs as root."""
    return candidate.socket in {DEFAULT_SOCKET, "/run/docker.sock"}


def answering(candidates: Sequence[Candidate], *, timeout_s: float = http.PING_S) -> Candidate:
    """Return the first that answers.

    Raises:
        NoEngine: none does; the details say of each why.
    """
    failures: list[tuple[Candidate, NoEngine]] = []
    for candidate in candidates:
        try:
            ping(candidate, timeout_s=timeout_s)
        except NoEngine as error:
            failures.append((candidate, error))
        else:
            return candidate
    raise _nobody(failures)


def ping(candidate: Candidate, *, timeout_s: float = http.PING_S) -> Pong:
    """Ask one engine whether it is there. Raises NoEngine, whose details say why it is not."""
    brief = f"no engine answers at {candidate.address.url or candidate.source}"
    if candidate.problem:
        raise NoEngine(brief, candidate.problem, f"fix it, or unset it; {up()} starts an engine on this host")
    try:
        first, headers = http.ping(candidate.address, timeout_s)
    except NoEngine as error:
        if isinstance(error.__cause__, OSError):
            why, remedy = _explain(candidate, error.__cause__)
            raise NoEngine(brief, why, remedy) from error
        raise
    except OSError as error:
        why, remedy = _explain(candidate, error)
        raise NoEngine(brief, why, remedy) from error
    if not candidate.address.answer:
        tls = ", maybe it expects TLS: DOCKER_TLS_VERIFY=1" if "400" in first or not first else ""
        said = repr(first[:80]) if first else "nothing"
        raise NoEngine(brief, f"what listens there is not a Docker engine: it answered {said}{tls}", up())
    pong = Pong(headers)
    why, remedy = pong.profile.refusal
    if why:
        raise NoEngine(f"the engine at {candidate.address.url} cannot be used", why, remedy)
    return pong


def _usual_places(environ: Mapping[str, str], home: str) -> list[Candidate]:
    runtime = runtime_dir(environ)
    places = (
        (DEFAULT_SOCKET, "the default socket"),
        (f"{runtime}/docker.sock", "rootless Docker"),
        (f"{home}/.docker/run/docker.sock", "Docker of this user"),
        (f"{runtime}/podman/podman.sock", "rootless Podman"),
        ("/run/podman/podman.sock", "Podman"),
    )
    return [Candidate(http.Address(f"unix://{path}"), source) for path, source in places]


def _host_address(host: str, environ: Mapping[str, str], config: Path) -> http.Address:
    """Read DOCKER_HOST as the docker CLI does: no scheme means TCP, or a socket's path."""
    if "://" not in host:
        host = f"unix://{host}" if host.startswith("/") else f"tcp://{host}"
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if host.startswith("unix://") or not (verify or environ.get("DOCKER_TLS")):
        return http.Address(host)
    return _with_tls(host, Path(environ.get("DOCKER_CERT_PATH") or config), verify=verify)


def _with_tls(url: str, folder: Path, *, verify: bool) -> http.Address:
    files = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    ca, cert, key = (str(file) if os.access(file, os.R_OK) else "" for file in files)
    port = "" if urlsplit(url).port else ":2376"
    return http.Address(url.replace("tcp://", "https://", 1) + port, ca, cert, key, verify)


def _current_context(config: Path) -> str:
    """Return the context that the docker CLI is set to, empty for its default.

    docker itself only warns of a configuration that it cannot read, and goes on with the default.
    """
    try:
        found = _read_json(config / "config.json")
    except (OSError, ValueError):
        return ""
    return str(found.get("currentContext") or "")


def _context(config: Path, name: str, source: str) -> Candidate:
    """Read a context of the docker CLI: a directory named by the SHA-256 of the context's name."""
    import hashlib  # only where contexts are used

    digest = hashlib.sha256(name.encode()).hexdigest()
    file = config / "contexts" / "meta" / digest / "meta.json"
    try:
        endpoint = _read_json(file)["Endpoints"]["docker"]
        url = str(endpoint["Host"])
    except FileNotFoundError:
        return Candidate(http.Address(""), source, True, f"there is no such context: {file} is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Candidate(http.Address(""), source, True, f"{file} cannot be read: {error!r}")
    folder = config / "contexts" / "tls" / digest / "docker"
    skip = bool(endpoint.get("SkipTLSVerify"))
    if url.startswith("unix://") or not (folder.is_dir() or skip):
        return Candidate(http.Address(url), source, True)
    return Candidate(_with_tls(url, folder, verify=not skip), source, True)


def _read_json(file: Path) -> dict[str, Any]:
    import json

    found = json.loads(file.read_bytes())
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  callers ask for one kind of bad content
    return found


def _explain(candidate: Candidate, error: OSError) -> tuple[str, str]:
    """Return why an engine could not be reached, and what to do."""
    path = candidate.socket
    if isinstance(error, FileNotFoundError):
        return "no such socket", up()
    if isinstance(error, PermissionError):
        return _explain_refusal(path)
    if isinstance(error, ConnectionRefusedError) and path:
        return "nobody listens: the socket was left by an engine that is gone", up()
    if isinstance(error, TimeoutError):
        return "no answer in time: it hangs, or the network swallows it", "look at its log, restart it"
    return error.strerror or str(error), "check the address; unset it to use an engine on this host"


def _explain_refusal(path: str) -> tuple[str, str]:
    import grp

    user = user_name()
    add = f"add yourself to the docker group (sudo usermod -aG docker {user}), then log in again"
    try:
        entry = Path(path).stat()
        group = grp.getgrgid(entry.st_gid)
    except (OSError, KeyError):
        return "permission denied", add
    if not entry.st_mode & stat.S_IWGRP or group.gr_name == "root":
        return "permission denied: its group may not use it", add
    if user in group.gr_mem:
        return (
            f"permission denied: you are in the group {group.gr_name}, but this login is older than that",
            f"log in again, or: newgrp {group.gr_name}",
        )
    add = f"add yourself to the {group.gr_name} group (sudo usermod -aG {group.gr_name} {user}), then log in again"
    return f"permission denied: you are not in the group {group.gr_name}", add


def _nobody(failures: Sequence[tuple[Candidate, NoEngine]]) -> NoEngine:
    """Make one error of all: with a remedy for the most telling of them."""
    if len(failures) == 1:
        candidate, error = failures[0]
        remedy = error.resolution
        if remedy == up() and candidate.is_asked_for and not is_default(candidate):
            remedy = "start that engine, or unset it to use an engine on this host"
        return NoEngine(error.brief, f"{candidate.source}: {error.details}", remedy)
    details = "\n".join(
        f"{candidate.source}, {candidate.address.url}: {error.details}" for candidate, error in failures
    )
    telling = [error for _, error in failures if error.resolution != up()]
    return NoEngine("no engine answers on this host", details, telling[0].resolution if telling else up())


def user_name() -> str:
    """Return who runs this; the number where the system has no name for it."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
