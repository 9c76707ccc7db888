"""Who may do what: tokens, cookies, and requests that another site makes a browser send.

A token in `Authorization: Bearer` serves programs, a signed cookie serves browsers. Without tokens the service
answers this machine alone, and everyone there may do everything; then the host name is checked, so that no page of
another site reaches it under a name of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stalker.io.atomic import create_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stalker.model.service import Role
    from stalker.service.site import Site

COOKIE = "stalker_session"
SESSION_S = 14 * 86400
FAILURES_MAX = 10
FAILURES_PER_S = 60.0
_IMPLIED: Mapping[Role, frozenset[Role]] = {
    "admin": frozenset({"admin", "run", "read"}),
    "run": frozenset({"run", "read"}),
    "read": frozenset({"read"}),
}
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request: a token's name, `local`, or empty; `csrf` goes into the forms of its pages."""

    name: str
    roles: frozenset[str]
    csrf: str = ""
    has_bearer: bool = False

    def may(self, role: str) -> bool:
        """Return whether it has a role."""
        return role in self.roles


class TooManyFailures(Exception):
    """So many wrong tokens came that none is looked at for a while."""


@dataclass(slots=True)
class Access:
    """Knows tokens and cookies of a service."""

    site: Site
    key: bytes
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES_MAX))

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor:
        """Return the sender of a request. Raises TooManyFailures."""
        service = self.site.service
        if not service.tokens:
            return Visitor("local", _IMPLIED["admin"], self._sign("csrf", "local"))
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            name = self.token_name(token.strip())
            return Visitor(name, self._roles(name), has_bearer=True)
        session = cookies.get(COOKIE, "")
        name = self._session_name(session)
        if name:
            return Visitor(name, self._roles(name), self._sign("csrf", session))
        return Visitor("", self._roles(""), self._sign("csrf", ""))

    def token_name(self, token: str) -> str:
        """Return the name of a token, empty for a wrong one. Raises TooManyFailures."""
        now = time.monotonic()
        if len(self.failures) == FAILURES_MAX and now - self.failures[0] < FAILURES_PER_S:
            raise TooManyFailures
        digest = _digest(token)
        values = self.site.secrets()
        found = ""
        for one in self.site.service.tokens:
            value = values.get(one.secret, "")
            if value and hmac.compare_digest(_digest(value), digest):
                found = one.name
        if not found:
            self.failures.append(now)
        return found

    def new_session(self, name: str) -> str:
        """Return the value of a cookie for a token's name."""
        content = f"{name}:{int(time.time()) + SESSION_S}"
        return f"{content}:{self._sign('session', content, self._token_of(name))}"

    def is_own_host(self, host: str) -> bool:
        """Return whether a Host header names this service; with tokens any name may be given to it."""
        if self.site.service.tokens:
            return True
        name = urlsplit(f"//{host}").hostname or ""
        return name in _LOCAL_NAMES or name == urlsplit(self.site.public_url).hostname

    def is_own_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes from a page of this service, or from no page at all."""
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        own = (headers.get("host", ""), urlsplit(self.site.public_url).netloc)
        return urlsplit(origin).netloc in own and origin != "null"

    def is_own_form(self, visitor: Visitor, token: str) -> bool:
        """Return whether a form has the token that its page was given."""
        return bool(visitor.csrf) and hmac.compare_digest(visitor.csrf.encode(), token.encode())

    def _session_name(self, session: str) -> str:
        name, _, rest = session.partition(":")
        expires, _, signature = rest.partition(":")
        expected = self._sign("session", f"{name}:{expires}", self._token_of(name))
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return ""
        return name if expires.isdigit() and int(expires) > time.time() else ""

    def _token_of(self, name: str) -> str:
        """Return the token of that name: one that is replaced ends its sessions."""
        one = next((token for token in self.site.service.tokens if token.name == name), None)
        return self.site.secrets().get(one.secret, "") if one is not None else ""

    def _roles(self, name: str) -> frozenset[str]:
        service = self.site.service
        token = next((one for one in service.tokens if one.name == name), None)
        roles = frozenset().union(*(_IMPLIED[role] for role in token.roles)) if token else frozenset[str]()
        return roles | {"read"} if service.is_read_public else roles

    def _sign(self, *parts: str) -> str:
        framed = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.new(self.key, framed.encode(), hashlib.sha256).hexdigest()


def read_key(path: Path) -> bytes:
    """Return the key of the service, made the first time; only its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        create_file(path, f"{secrets.token_hex(32)}\n", mode=0o600)
    return bytes.fromhex(path.read_text(encoding="ascii").strip())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
