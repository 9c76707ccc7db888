"""How a registry wants to know who asks, and the tokens that it wants to see.

Source: distribution specification of tokens (`spec/auth/token.md`, `oauth.md`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from stalker.engine.logins import Login
from stalker.errors import InputError
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.request import Answer, ask
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import shown
from stalker.io.progress import Say

if TYPE_CHECKING:
    import httpx

CLIENT_ID = "stalker"
MOST_BYTES = 1 << 16
SHORTEST_LIFE_S = 60.0
"""How long a token is valid by default."""

_SCHEME = re.compile(r"(?:\A|,)\s*(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants: a login, or a token that `realm` gives for a `service`."""

    is_basic: bool
    realm: str = ""
    service: str = ""


def challenge_in(headers: Iterable[str]) -> Challenge | None:
    """Read WWW-Authenticate; a token is taken rather than a password where both will do."""
    found = None
    for header in headers:
        starts = list(_SCHEME.finditer(header))
        for number, start in enumerate(starts):
            end = starts[number + 1].start() if number + 1 < len(starts) else len(header)
            told = {
                one[1].lower(): re.sub(r"\\(.)", r"\1", one[2]) if one[2] is not None else one[3]
                for one in _PARAMETER.finditer(header, start.end(), end)
            }
            if start[1].lower() == "bearer" and told.get("realm"):
                return Challenge(False, told["realm"], told.get("service", ""))
            if start[1].lower() == "basic":
                found = Challenge(True)
    return found


class Tokens:
    """Tokens by what they are for, each used as long as it holds."""

    def __init__(self, client: httpx.Client, patience: Patience, say: Say, *, is_insecure: bool) -> None:
        self._client = client
        self._patience = patience
        self._say = say
        self._is_insecure = is_insecure
        self._known: dict[str, tuple[str, float]] = {}

    def forget(self, scope: str) -> None:
        """Take a token for void."""
        self._known.pop(scope, None)

    def of(self, challenge: Challenge, scope: str, login: Login | None, stop: Stop | None) -> str | Answer:
        """Return a token, or the answer of who refuses one.

        Raises:
            NotReached: who gives tokens does not answer.
            InputError: the address is none to send a login to, or what it gives is not a token.
        """
        token, until_s = self._known.get(scope, ("", 0.0))
        if token and time.monotonic() < until_s:
            return token
        if not challenge.realm.startswith("https://") and not (
            self._is_insecure and challenge.realm.startswith("http://")
        ):
            raise InputError(
                f"the registry wants a token of {shown(challenge.realm)}",
                "a login is sent to https addresses alone",
                "list the registry under insecure-registries of docker, if it is yours",
            )
        answer = self._ask(challenge, scope, login, stop)
        if answer.status != 200:
            return answer
        try:
            found: Mapping[str, Any] = json.loads(answer.body)
            token = str(found.get("token") or found.get("access_token") or "")
            life_s = float(found.get("expires_in") or SHORTEST_LIFE_S)
        except (ValueError, TypeError, AttributeError):
            token = ""
        if not token or not token.isprintable():
            raise InputError(
                f"{shown(challenge.realm)} gave no token", "its answer holds none", "run again later"
            )
        # Some of its life goes by on the way.
        self._known[scope] = (token, time.monotonic() + 0.8 * max(life_s, SHORTEST_LIFE_S))
        return token

    def _ask(self, challenge: Challenge, scope: str, login: Login | None, stop: Stop | None) -> Answer:
        asked = {"service": challenge.service, "scope": scope}
        if login is not None and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": CLIENT_ID,
                "refresh_token": login.identity_token,
                **asked,
            }
            return ask(
                self._client, "POST", challenge.realm, form=form,
                most_bytes=MOST_BYTES, patience=self._patience, stop=stop, say=self._say,
            )  # fmt: skip
        proof = {"Authorization": f"Basic {login.basic}"} if login is not None and login.basic else {}
        known = {key: value for key, value in asked.items() if value}
        if login is not None and login.user:
            known["account"] = login.user
        url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{urlencode(known)}"
        return ask(
            self._client, "GET", url, headers=lambda: proof,
            most_bytes=MOST_BYTES, patience=self._patience, stop=stop, say=self._say,
        )  # fmt: skip
