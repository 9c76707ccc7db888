"""A registry of container images, asked as docker asks it: the OCI distribution API, with the user's logins.

Credentials go to the registry, and to the address for tokens that it names; a redirect to another host takes
none along (httpx drops them). No message holds any.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Self

from stalker.engine.logins import DockerConfig, Login
from stalker.errors import InputError, NotReached
from stalker.fetch.http.client import host_of, new_client
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.request import Answer, ask
from stalker.fetch.http.stop import Stop
from stalker.fetch.oci.tokens import Challenge, Tokens, challenge_in
from stalker.io.masking import Masker
from stalker.io.progress import Say
from stalker.model.image_name import DOCKER_HUB, ImageName

if TYPE_CHECKING:
    import httpx

HUB_HOST = "registry-1.docker.io"
MOST_WORDS = 300

_NO_PARTS = frozenset({400, 405, 416, 501})
"""Answers of a storage that does not know what a part is."""


class Registries:
    """All registries that are asked, with the configuration of one user; close it, or use `with`."""

    def __init__(
        self, config: DockerConfig, *, patience: Patience | None = None, say: Say = lambda _: None
    ) -> None:
        self.say = say
        self.patience = patience or Patience()
        self._config = config
        self._known: dict[str, Registry] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections."""
        with self._guard:
            for one in self._known.values():
                one.close()
            self._known.clear()

    def of(self, image: ImageName) -> Registry:
        """Return the registry of an image."""
        with self._guard:
            if image.registry not in self._known:
                self._known[image.registry] = Registry(image.registry, self._config, self.patience, self.say)
            return self._known[image.registry]


class Registry:
    """One registry. Any number of threads may ask it."""

    def __init__(self, name: str, config: DockerConfig, patience: Patience, say: Say) -> None:
        self.name = name
        self._is_insecure = config.is_insecure(name)
        self.blobs: httpx.Client = new_client(patience.timeout_s, trusts_anyone=self._is_insecure)
        """For downloads alone: a stop ends connections that were made under it."""

        self._client = new_client(patience.timeout_s, trusts_anyone=self._is_insecure)
        self._config = config
        self._patience = patience
        self._say = say
        self._guard = threading.RLock()
        self._url = "" if self._is_insecure else f"https://{HUB_HOST if name == DOCKER_HUB else name}"
        self._login: tuple[Login | None, str] | None = None
        self._challenge: Challenge | None = None
        self._tokens = Tokens(self._client, patience, say, is_insecure=self._is_insecure)

    def close(self) -> None:
        """Close connections."""
        self.blobs.close()
        self._client.close()

    def get(
        self,
        image: ImageName,
        path: str,
        *,
        most_bytes: int,
        accept: str = "",
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        stop: Stop | None = None,
        borne: Container[int] = (),
    ) -> Answer:
        """Get `manifests/<reference>` or `blobs/<digest>` of an image, at most so much of it.

        Statuses in `borne` are not errors.

        Raises:
            NotReached: the registry does not answer, or fails.
            InputError: it refuses; says what of, and what helps.
        """
        patience = patience or self._patience
        extra = {**({"Accept": accept} if accept else {}), **(headers or {})}
        try:
            url = f"{self._base(patience, stop)}/v2/{image.path}/{path}"

            def once() -> Answer:
                return ask(
                    self._client,
                    "GET",
                    url,
                    headers=lambda: {**extra, **self._authorization(image, stop)},
                    most_bytes=most_bytes,
                    patience=patience,
                    stop=stop,
                    say=self._say,
                )

            answer = once()
            if answer.status == 401 and self._learn(image, answer, url):
                answer = once()
        except NotReached as error:
            raise NotReached(
                f"{image} cannot be fetched: {self.name} cannot be reached",
                self._hidden(error.details),
                "check the network and the name of the registry",
            ) from error
        if answer.status >= 300 and answer.status not in borne:
            raise self._refusal(image, answer)
        return answer

    def blob_url(self, image: ImageName, digest: str, stop: Stop | None = None) -> str:
        """Return where a blob is had."""
        return f"{self._base(self._patience, stop)}/v2/{image.path}/blobs/{digest}"

    def blob_headers(self, image: ImageName, stop: Stop | None = None) -> Mapping[str, str]:
        """Return what is sent along for blobs: a new token where the last one ends in the middle."""
        return _Live(lambda: self._authorization(image, stop))

    def blob_part(
        self, image: ImageName, digest: str, at: int, count: int, stop: Stop | None = None
    ) -> bytes | None:
        """Return some bytes of a blob, None where the registry gives no parts."""
        wanted = {"Range": f"bytes={at}-{at + count - 1}"}
        path = f"blobs/{digest}"
        answer = self.get(image, path, most_bytes=count, headers=wanted, stop=stop, borne=_NO_PARTS)
        return answer.body if answer.status == 206 and len(answer.body) == count else None

    # Where it is, and who asks

    def _base(self, patience: Patience, stop: Stop | None) -> str:
        """Return its address: one that may be insecure is tried with TLS first, as docker does."""
        with self._guard:
            if not self._url:
                for url in (f"https://{self.name}", f"http://{self.name}"):
                    few = (
                        Patience(0, patience.timeout_s, patience.pause)
                        if url.startswith("https")
                        else patience
                    )
                    try:
                        ask(self._client, "GET", f"{url}/v2/", patience=few, stop=stop)
                    except NotReached:
                        if url.startswith("http:"):
                            raise
                    else:
                        self._url = url
                        break
            return self._url

    def _authorization(self, image: ImageName, stop: Stop | None) -> dict[str, str]:
        """Return what proves who asks, as far as the registry wants to know."""
        with self._guard:
            if self._challenge is None:
                return {}
            login, problem = self._known_login()
            if self._challenge.is_basic:
                return {"Authorization": f"Basic {login.basic}"} if login and login.basic else {}
            answer = self._tokens.of(self._challenge, f"repository:{image.path}:pull", login, stop)
            if isinstance(answer, str):
                return {"Authorization": f"Bearer {answer}"}
            if answer.status in {400, 401, 403, 404}:
                raise self._denied(image, answer, login, problem)
            raise self._refusal(image, answer)

    def _learn(self, image: ImageName, answer: Answer, url: str) -> bool:
        """Take from a refusal how it wants to be asked; say whether asking again can help."""
        if host_of(answer.url) != host_of(url):
            return False
        with self._guard:
            self._challenge = challenge_in(answer.headers.get_list("www-authenticate"))
            self._tokens.forget(f"repository:{image.path}:pull")
            if self._challenge is None:
                return False
            login, _ = self._known_login()
            return not self._challenge.is_basic or bool(login and login.basic)

    def _known_login(self) -> tuple[Login | None, str]:
        if self._login is None:
            self._login = self._config.login_of(self.name)
        return self._login

    # What it refuses

    def _refusal(self, image: ImageName, answer: Answer) -> InputError:
        login, problem = self._known_login()
        details = "\n".join(one for one in (f"{self.name} answers {answer.line}", self._words(answer)) if one)
        again = "run again later"
        match answer.status:
            case 401 | 403:
                return self._denied(image, answer, login, problem)
            case 404:
                return InputError(f"{image} is not there", details, "check the name and the tag")
            case 429:
                asked = answer.headers.get("retry-after", "")
                wait = f"\nit wants to be left alone for {asked[:40]} s" if asked.strip().isdecimal() else ""
                return NotReached(
                    f"{image} cannot be fetched: {self.name} was asked too often",
                    details + wait,
                    again if login else f"{again}, or log in, which often allows more: {self._log_in}",
                )
            case status if status >= 500 or status == 408:
                return NotReached(f"{image} cannot be fetched: {self.name} fails", details, again)
            case _:
                return InputError(f"{image} cannot be fetched", details, "check the name")

    def _denied(self, image: ImageName, answer: Answer, login: Login | None, problem: str) -> InputError:
        details = "\n".join(
            one for one in (f"{self.name} answers {answer.line}", self._words(answer), problem) if one
        )
        if login is None:
            return InputError(
                f"{image} is not given to everybody, or is not there",
                details,
                f"check the name, or log in: {self._log_in}",
            )
        if answer.status == 403:
            return InputError(
                f"{image} is not given to {login.user or 'who is logged in'}",
                details,
                f"check the name, or log in as who may have it: {self._log_in}",
            )
        return InputError(f"{image}: {self.name} refuses the login", details, f"log in again: {self._log_in}")

    @property
    def _log_in(self) -> str:
        return "docker login" if self.name == DOCKER_HUB else f"docker login {self.name}"

    def _words(self, answer: Answer) -> str:
        """Return the registry's own words, if it has any."""
        try:
            errors = json.loads(answer.body)["errors"]
            words = "; ".join(
                f"{one.get('code', '')}: {one.get('message', '')}".strip(": ") for one in errors
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return ""
        plain = "".join(letter if letter.isprintable() else " " for letter in words)
        return self._hidden(plain)[:MOST_WORDS]

    def _hidden(self, text: str) -> str:
        login, _ = self._known_login()
        return Masker(login.secrets if login else ()).mask_text(text)


class _Live(Mapping[str, str]):
    """Headers that are made again whenever they are sent."""

    def __init__(self, make: Callable[[], Mapping[str, str]]) -> None:
        self._make = make

    def __getitem__(self, key: str) -> str:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> Mapping[str, str]:
        try:
            return self._make()
        except NotReached:
            raise
        except InputError as error:
            # What came so far is as good as before; the next run may be let in again.
            raise NotReached(error.brief, error.details, error.resolution) from error
