"""Names of container images, read as docker reads them: `[registry/]path[:tag][@digest]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
MOST_LETTERS = 255

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image by its full name. `tag` is empty where only a digest was given, `digest` is mostly empty."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}{self._version}"

    @property
    def repository(self) -> str:
        """Registry and path."""
        return f"{self.registry}/{self.path}"

    @property
    def reference(self) -> str:
        """What the registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag

    @property
    def familiar(self) -> str:
        """Name and tag as docker shows and saves them, empty without a tag: `caddy:2` is on its own hub."""
        if not self.tag:
            return ""
        path = self.path.removeprefix("library/") if self.registry == DOCKER_HUB else self.repository
        return f"{path}:{self.tag}"

    @property
    def _version(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_image_name(text: str) -> ImageName:
    """Read a name by docker's rules: the hub and `library/` when they are left out, `latest` without version.

    The first part is a registry if it has a dot, a colon or a capital letter, or is `localhost`.
    Source: distribution/reference, `ParseNormalizedNamed`.

    Raises:
        ValueError: it is no name of an image; says why.
    """
    rest, at, digest = text.strip().partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no digest: sha256: and 64 digits 0-9 a-f")
    first, slash, below = rest.partition("/")
    if slash and (first == "localhost" or first != first.lower() or any(sign in first for sign in ".:")):
        registry, rest = first, below
    else:
        registry = DOCKER_HUB
    path, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"{tag!r} is no tag: at most 128 letters, digits, _ . and -")
    if not _HOST.fullmatch(registry):
        raise ValueError(f"{registry!r} is no registry: host or host:port")
    if registry in {"index.docker.io", "registry-1.docker.io"}:
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and path and "/" not in path:
        path = f"library/{path}"
    if not _PATH.fullmatch(path):
        why = (
            "a name has no capital letters"
            if _PATH.fullmatch(path.lower())
            else "it has letters, digits, . _ -"
        )
        raise ValueError(f"{path.removeprefix('library/')!r} is no name of an image: {why}")
    if len(path) + len(registry) + 1 > MOST_LETTERS:
        raise ValueError(f"the name is longer than {MOST_LETTERS} letters")
    return ImageName(registry, path, tag or ("" if digest else "latest"), digest)
