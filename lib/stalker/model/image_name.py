"""Names of container images, read as docker reads them: `[registry/]path[:tag][@digest]`.

Source: the grammar of github.com/distribution/reference. A tree keeps names as they are written
(`split_image_name`); a registry needs them complete (`parse_image_name`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

DOCKER_HUB = "docker.io"
REPOSITORY_MAX = 255

PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(rf"(?:{_HOST.pattern}/)?{PART}(?:/{PART})*")
_TAG = re.compile(TAG)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class WrittenName(NamedTuple):
    """An image's name in parts, nothing completed; `tag` and `digest` may be empty."""

    repository: str
    tag: str
    digest: str


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


def split_image_name(text: str) -> WrittenName:
    """Split and check a name as it is written.

    Raises:
        ValueError: it does not follow the grammar; the text says where.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"'{digest}' is not a digest, which is sha256: and 64 digits of 0-9a-f")
    last = rest.rpartition("/")[2]
    _, colon, tag = last.partition(":")
    repository = rest[: len(rest) - len(tag) - 1] if colon else rest
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"'{tag}' is not a tag, which has letters, digits and _.-, at most 128")
    if not _REPOSITORY.fullmatch(repository):
        why = ": it has capital letters" if _REPOSITORY.fullmatch(repository.lower()) else ""
        raise ValueError(f"'{text}' is not an image name{why}")
    if len(repository) > REPOSITORY_MAX:
        raise ValueError(f"'{text[:40]}...' is not an image name: it is longer than {REPOSITORY_MAX}")
    return WrittenName(repository, tag, digest)


def parse_image_name(text: str) -> ImageName:
    """Complete a name by docker's rules: the hub and `library/` when they are left out, `latest` without version.

    The first part is a registry if it has a dot, a colon or a capital letter, or is `localhost`.
    Source: distribution/reference, `ParseNormalizedNamed`.

    Raises:
        ValueError: it is not the name of an image; the text says why.
    """
    repository, tag, digest = split_image_name(text.strip())
    first, slash, below = repository.partition("/")
    registry, path = DOCKER_HUB, repository
    if slash and (first == "localhost" or first != first.lower() or any(sign in first for sign in ".:")):
        registry, path = first, below
    if not _HOST.fullmatch(registry):
        raise ValueError(f"'{registry}' is not a registry, which is host or host:port")
    if registry in {"index.docker.io", "registry-1.docker.io"}:
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return ImageName(registry, path, tag or ("" if digest else "latest"), digest)
