"""What this user's docker knows of registries: logins, and which of them may be spoken to without TLS.

Read are `config.json` in the folder DOCKER_CONFIG, else `~/.docker`, the programs `docker-credential-*`
that it names, and `insecure-registries` of the engine of this host. Nothing is written there.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stalker.model.image_names import DOCKER_HUB

HUB_KEY = "https://index.docker.io/v1/"
"""The name under which docker keeps the login of its own hub."""

DAEMON_CONFIG = Path("/etc/docker/daemon.json")
HELPER_PATIENCE_S = 60.0

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCAL = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Login:
    """A name with its password, or a token that stands for both."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return tuple(one for one in (self.password, self.identity_token, self.basic) if one)

    @property
    def basic(self) -> str:
        """Name and password as they go into an Authorization header."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode() if self.password else ""


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The docker configuration of a user; `problem` says why it could not be read."""

    auths: Mapping[str, Any] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    insecure: tuple[str, ...] = ()
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    """The environment of the programs that keep logins, None for ours."""

    problem: str = ""

    def login_of(self, registry: str) -> tuple[Login | None, str]:
        """Return the login at a registry, and what was in the way of finding one.

        A program for this very registry comes first, then the one for all, then the file: docker's order.
        """
        key = HUB_KEY if registry == DOCKER_HUB else registry
        keys = (key, DOCKER_HUB, "index.docker.io") if registry == DOCKER_HUB else (key,)
        helper = next((self.helpers[one] for one in keys if one in self.helpers), "") or self.store
        problem = self.problem
        if helper:
            found, problem = _ask_helper(helper, key, self.environ)
            if found is not None:
                return found, ""
        for name, known in self.auths.items():
            if (name in keys or _host_in(name) in {_host_in(one) for one in keys}) and isinstance(
                known, dict
            ):
                login = _login_in(known)
                if login is not None:
                    return login, ""
        return None, problem

    def is_insecure(self, registry: str) -> bool:
        """Say whether a registry may be spoken to over http or without knowing its certificate.

        Those of this host may, and what the engine of this host is told so of.
        """
        host = re.sub(r":\d+\Z", "", registry).strip("[]")
        if host == "localhost" or registry in self.insecure or host in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in _networks((*_LOCAL, *self.insecure)))


def read_docker_config(
    environ: Mapping[str, str], home: str, *, daemon_config: Path = DAEMON_CONFIG
) -> DockerConfig:
    """Read it; what is not there or cannot be read knows nothing."""
    file = Path(environ.get("DOCKER_CONFIG") or f"{home}/.docker") / "config.json"
    found, problem = _object_in(file)
    daemon, _ = _object_in(daemon_config)
    auths, helpers, insecure = (
        found.get("auths"),
        found.get("credHelpers"),
        daemon.get("insecure-registries"),
    )
    return DockerConfig(
        auths if isinstance(auths, dict) else {},
        {str(key): str(value) for key, value in helpers.items()} if isinstance(helpers, dict) else {},
        str(found.get("credsStore") or ""),
        tuple(str(one) for one in insecure) if isinstance(insecure, list) else (),
        environ,
        problem,
    )


def _object_in(file: Path) -> tuple[dict[str, Any], str]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:
        # What stands in it may be a password: the error's own words quote nothing of it.
        said = error.strerror if isinstance(error, OSError) else "it is no JSON"
        return {}, f"{file} cannot be read: {said}"
    return (found, "") if isinstance(found, dict) else ({}, f"{file} cannot be read: it is no JSON object")


def _login_in(known: Mapping[str, Any]) -> Login | None:
    """Return what an entry of `auths` holds; docker leaves an empty one where a program keeps the login."""
    token = str(known.get("identitytoken") or "")
    user, password = str(known.get("username") or ""), str(known.get("password") or "")
    if packed := str(known.get("auth") or ""):
        try:
            text = base64.b64decode(packed, validate=True).decode("utf-8").rstrip("\0")
        except (binascii.Error, ValueError):
            text = ""
        user, _, password = text.partition(":")
    return Login(user, password, token) if token or password else None


def _ask_helper(name: str, key: str, environ: Mapping[str, str] | None) -> tuple[Login | None, str]:
    """Ask a program for the login at `key`. Source: docker/docker-credential-helpers, README."""
    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        return None, f"{program!r} is no name of a program"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=HELPER_PATIENCE_S,
            env=None if environ is None else dict(environ),
            check=False,
        )
    except FileNotFoundError:
        return None, f"{program}, which keeps the logins, is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{program} does not answer: {type(error).__name__}"
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()
        return None, "" if "not found" in said else f"{program} gave no login (exit code {done.returncode})"
    try:
        found = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):
        return None, f"{program} gave something else than a login"
    if not secret:
        return None, ""
    return (Login("", "", secret) if user == "<token>" else Login(user, secret)), ""


def _host_in(key: str) -> str:
    """Return the host of a key of `auths`, which may be a URL: `https://host:5000/v1/`."""
    return re.sub(r"\Ahttps?://", "", key).partition("/")[0]


def _networks(texts: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return found
