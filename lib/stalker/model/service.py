"""The configuration of the service: what `service.hjson` says, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stalker.model.diagnostics import Place

Forge = Literal["github", "gitea", "gitlab", "git"]
Role = Literal["read", "run", "admin"]

FIELDS = ("project", "branch", "commit", "ref", "build")
"""Names that a text of the configuration may have in braces."""

_FIELD = re.compile(r"\{(\w+)(?::\.(\d{1,3}))?\}")
_BRACE = re.compile(r"[{}]")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` and `{name:.N}`, the first N characters, in a text that `brace_problem` accepts."""

    def value(match: re.Match[str]) -> str:
        whole = values[match[1]]
        return whole[: int(match[2])] if match[2] else whole

    return _FIELD.sub(value, text)


def brace_problem(text: str, names: tuple[str, ...] = FIELDS) -> str:
    """Return what is wrong with the braces of a text, empty where nothing is."""
    unknown = next((match[1] for match in _FIELD.finditer(text) if match[1] not in names), "")
    if unknown:
        return f"'{{{unknown}}}' is not a field; the fields are {', '.join(names)}"
    if _BRACE.search(_FIELD.sub("", text)):
        return "a brace that does not belong to {name} or {name:.N}"
    return ""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret's value is: the name of an environment variable, or a file."""

    name: str
    place: Place
    env: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A person or program that may use the service; `secret` names its value."""

    name: str
    secret: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Hook:
    """The pushes that a project takes: of one repository, signed with `secret`, of refs that match a pattern."""

    forge: Forge
    secret: str
    repository: str
    refs: tuple[str, ...] = ("heads/*",)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a pushed tree may ask of the machine beyond containers of its own."""

    host_paths: tuple[str, ...] = ()
    networks: tuple[str, ...] = ("none", "bridge")
    secrets: tuple[str, ...] = ()
    is_privileged: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A file of an artifact, the name that it is published under, and a link that leads to the newest."""

    file: str
    name: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Commit statuses at the forge; `api` is the address of its API, empty for the public one."""

    token: str
    api: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A repository whose pushes become builds of a tree.

    `git` is where its commits are fetched; without it the tree is one of the service's own workspace. `after` are
    projects whose successful build makes one of this. `tag` names the last image.
    """

    name: str
    place: Place
    tree: str
    hook: Hook | None = None
    git: str = ""
    set: tuple[tuple[str, str], ...] = ()
    allow: Allowed = field(default_factory=Allowed)
    publish: tuple[Published, ...] = ()
    tag: str = ""
    status: Status | None = None
    notify: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of builds. `parallel` counts trees; `min_free_bytes` is the disk space below which nothing starts.

    `keep_number` builds of a project are kept, and none longer than `keep_s`; 0 keeps all.
    """

    parallel: int = 1
    queued: int = 200
    timeout_s: float = 7200.0
    min_free_bytes: int = 1_000_000_000
    keep_number: int = 0
    keep_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """The whole configuration. Directories are absolute; `listen` is host and port."""

    file: str
    workspace: str
    host: str
    port: int
    public_url: str
    database: str
    storage: str
    work_directory: str
    limits: Limits
    projects: tuple[Project, ...]
    secrets: tuple[Secret, ...] = ()
    tokens: tuple[Token, ...] = ()
    is_read_public: bool = False

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can connect."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    def project(self, name: str) -> Project | None:
        """Return the project of that name, None without one."""
        return next((project for project in self.projects if project.name == name), None)
