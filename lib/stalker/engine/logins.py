"""What this user's docker knows of registries: logins, and which of them need no TLS.

docker-py reads the logins: `config.json` in the directory DOCKER_CONFIG, else `~/.docker`, and the programs
`docker-credential-*` that it names. `insecure-registries` of the engine of this host are read here, for
docker-py does not know them. Nothing is written.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stalker.model.image_name import DOCKER_HUB

HUB_KEYS = ("https://index.docker.io/v1/", DOCKER_HUB, "index.docker.io")
"""The names under which docker keeps a login of its own hub, the usual one first."""

DAEMON_CONFIG = Path("/etc/docker/daemon.json")

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCAL = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Login:
    """A name with its password, or a token in place of both."""

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
        """Return the login at a registry, and why the lookup was incomplete.

        A program for this registry is asked first, then the one for all, then the file: docker's order.
        Cost: 100 ms for docker-py at the first call, and what a program takes.
        """
        keys = HUB_KEYS if registry == DOCKER_HUB else (registry,)
        helper = next((self.helpers[key] for key in keys if key in self.helpers), "") or self.store
        problem = self.problem
        if helper:
            login, problem = _ask_helper(helper, keys[0], self.environ)
            if login is not None:
                return login, ""
        login = _login_in(self.auths, registry)
        return login, "" if login else problem

    def is_insecure(self, registry: str) -> bool:
        """Return True for a registry that may be reached over http or with any certificate.

        These are the ones on this host, and those that the engine of this host is configured for.
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
    """Read the configuration; a file that is missing or cannot be read is taken as empty."""
    file = Path(environ.get("DOCKER_CONFIG") or f"{home}/.docker") / "config.json"
    config, problem = _object_in(file)
    daemon, _ = _object_in(daemon_config)
    auths, helpers = config.get("auths"), config.get("credHelpers")
    insecure = daemon.get("insecure-registries")
    return DockerConfig(
        auths if isinstance(auths, dict) else {},
        {str(key): str(value) for key, value in helpers.items()} if isinstance(helpers, dict) else {},
        str(config.get("credsStore") or ""),
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
        # It may contain a password: the error's own words, which quote it, are not passed on.
        said = error.strerror if isinstance(error, OSError) else "it is not JSON"
        return {}, f"{file} cannot be read: {said}"
    return (found, "") if isinstance(found, dict) else ({}, f"{file} cannot be read: it is not a JSON object")


def _login_in(auths: Mapping[str, Any], registry: str) -> Login | None:
    """Return what `auths` holds for a registry; docker leaves an empty entry where a program keeps the login."""
    from docker.auth import AuthConfig  # late: 100 ms, and most downloads need no login

    known: dict[str, Any] = {}
    for key, entry in auths.items():
        try:  # one at a time: docker-py gives up all of them when one is damaged
            parsed = AuthConfig.parse_auth({key: entry})
        except (ValueError, TypeError, AttributeError):
            continue
        known |= {name: login for name, login in parsed.items() if login}
    login = AuthConfig({"auths": known}).resolve_authconfig(registry) or {}
    password, token = str(login.get("password") or "").rstrip("\0"), str(login.get("IdentityToken") or "")
    return Login(str(login.get("username") or ""), password, token) if token or password else None


def _ask_helper(name: str, key: str, environ: Mapping[str, str] | None) -> tuple[Login | None, str]:
    """Ask a program for the login at `key`; return it, or a problem in words that quote no output."""
    from docker.auth import TOKEN_USERNAME  # late: 100 ms
    from docker.credentials import CredentialsNotFound, Store, StoreError

    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        return None, f"{program!r} is not a valid name of a program"
    if shutil.which(program) is None:  # docker-py would print a warning
        return None, f"{program}, which keeps the logins, is not installed"
    try:
        answer = Store(name, environ).get(key)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except CredentialsNotFound:
        return None, ""
    except StoreError as error:
        code = getattr(error.__cause__, "returncode", None)
        return None, f"{program} gave no login" + (f" (exit code {code})" if code else "")
    except (ValueError, KeyError, TypeError):
        return None, f"{program} printed something else than a login"
    if not secret:
        return None, ""
    return (Login("", "", secret) if user == TOKEN_USERNAME else Login(user, secret)), ""


def _networks(texts: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return networks
