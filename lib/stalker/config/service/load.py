"""Read `service.hjson`: all its problems at once, each with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from stalker.config.schema.service import NAME, SERVICE
from stalker.config.schema.types import VARIABLE, check
from stalker.config.syntax.document import is_true, items_of, text_of, texts_of
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Report, did_you_mean
from stalker.errors import FilesError
from stalker.io.units import binary_bytes, duration_s
from stalker.model.diagnostics import Place, Problem
from stalker.model.service import (
    Allowed,
    Forge,
    Hook,
    Limits,
    Project,
    Published,
    Role,
    Secret,
    Service,
    Status,
    Token,
    brace_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stalker.config.syntax.document import Node

DEFAULT_PORT = 8520
FILE_NAME = "service.hjson"

_CLONE = re.compile(r"(?:https|http|ssh|git|file)://[^\s]+|[\w.-]+@[\w.-]+:[^\s]+|/[^\s]*")
_DATABASE = re.compile(r"sqlite:///.+|postgresql\+psycopg://.+")


def read_service(text: str, file: str, workspace: str) -> Service:
    """Return the configuration; relative paths begin at `workspace`.

    Raises:
        FilesError: all problems, in the order of the file.
    """
    service, report = _read(text, file, workspace)
    if service is None or report.has_errors:
        raise FilesError(report.errors(), "docs/reference/service.md lists the keys")
    return service


def check_service(text: str, file: str, workspace: str) -> list[Problem]:
    """Return all problems of a configuration, in the order of the file."""
    return _read(text, file, workspace)[1].sorted()


def read_secret_values(
    secrets: tuple[Secret, ...], environ: Mapping[str, str], workspace: str
) -> dict[str, str]:
    """Return the values of the secrets that exist; a missing one is missing in the result.

    Raises:
        FilesError: a file cannot be read for another reason than that it is missing.
    """
    report, values = Report(), {}
    for secret in secrets:
        try:
            value = environ.get(secret.env) if secret.env else _file_text(Path(workspace, secret.file))
        except (OSError, UnicodeDecodeError) as error:
            report.problem(secret.place, f"{secret.file} cannot be read: {error}")
            continue
        if value:
            values[secret.name] = value
    if report.has_errors:
        raise FilesError(report.errors())
    return values


def _file_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None


def _read(text: str, file: str, workspace: str) -> tuple[Service | None, Report]:
    report = Report()
    document = read_hjson(text, file)
    report.take(document.problems)
    if document.root is None:
        return None, report
    if not check(document.root, SERVICE, {}, report) or report.has_errors:
        return None, report
    return _Reader(document.root, workspace, report).service(), report


class _Reader:
    """Read the checked document; what no schema can say is reported here."""

    def __init__(self, root: Node, workspace: str, report: Report) -> None:
        self.root, self.workspace, self.report = root, workspace, report
        self.secrets = self._secrets()

    def service(self) -> Service:
        host, port = self._listen()
        tokens = tuple(self._token(name, node) for name, node in _items(self.root, "tokens"))
        storage = self.root.get("storage")
        service = Service(
            file=self.root.document.file,
            workspace=self.workspace,
            host=host,
            port=port,
            public_url=self._url(self.root.get("public_url")).rstrip("/"),
            database=self._database(),
            storage=self._directory(storage and storage.get("directory"), "workspace/published"),
            work_directory=self._directory(self.root.get("work_directory"), "workspace/service"),
            limits=self._limits(self.root.get("builds")),
            projects=tuple(self._project(name, node) for name, node in _items(self.root, "projects")),
            secrets=tuple(self.secrets.values()),
            tokens=tokens,
            is_read_public=text_of(self.root.get("read")) == "public",
        )
        if not service.is_local and not tokens:
            at = self.root.get("listen")
            assert at is not None
            what = f"every machine that reaches {at.text} could start builds"
            self.report.problem(at.place, what, "add tokens, or listen at 127.0.0.1")
        self._check_order(service.projects)
        return service

    def _secrets(self) -> dict[str, Secret]:
        found = {}
        for name, node in _items(self.root, "secrets"):
            env, file = text_of(node.get("env")), text_of(node.get("file"))
            if not VARIABLE.match(name):
                self.report.problem(
                    node.key_place, f"'{name}' is invalid", "names of secrets are in UPPER CASE"
                )
            if bool(env) == bool(file):
                self.report.problem(node.place, "a secret has env or file", "{ env: NAME } or { file: path }")
            found[name] = Secret(name, node.key_place, env, file)
        return found

    def _secret(self, node: Node | None) -> str:
        """Return the name of a declared secret; report one that is not declared."""
        name = text_of(node)
        if node is not None and name not in self.secrets:
            hint = did_you_mean(name, self.secrets, "secrets")
            self.report.problem(node.place, f"no secret named '{name}'", hint)
        return name

    def _listen(self) -> tuple[str, int]:
        node = self.root.get("listen")
        if node is None:
            return "127.0.0.1", DEFAULT_PORT
        host, _, port = node.text.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            self.report.problem(node.place, f"'{node.text}' is not host:port", '"127.0.0.1:8520"')
            return "127.0.0.1", DEFAULT_PORT
        return host.strip("[]"), int(port)

    def _url(self, node: Node | None) -> str:
        if node is not None and not _is_http(node.text):
            self.report.problem(node.place, f"'{node.text}' is not an http or https address")
        return text_of(node)

    def _database(self) -> str:
        node = self.root.get("database")
        url = text_of(node) or "sqlite:///workspace/service.db"
        if node is not None and not _DATABASE.fullmatch(url):
            what = "not the address of a database"
            self.report.problem(node.place, what, "sqlite:///PATH or postgresql+psycopg://HOST/NAME")
        path = url.removeprefix("sqlite:///")
        return url if path == url else f"sqlite:///{Path(self.workspace, path)}"

    def _directory(self, node: Node | None, default: str) -> str:
        if node is not None and not node.text:
            self.report.problem(node.place, "the path is empty")
        return os.path.normpath(Path(self.workspace, text_of(node) or default))

    def _limits(self, node: Node | None) -> Limits:
        usual = Limits()
        if node is None:
            return usual
        keep = node.get("keep")
        return Limits(
            parallel=_whole(node.get("parallel"), usual.parallel),
            queued=_whole(node.get("queued"), usual.queued),
            timeout_s=self._quantity(node.get("timeout"), duration_s, usual.timeout_s),
            min_free_bytes=int(self._quantity(node.get("min_free"), binary_bytes, usual.min_free_bytes)),
            keep_number=_whole(keep.get("number") if keep else None, usual.keep_number),
            keep_s=self._quantity(keep.get("age") if keep else None, duration_s, usual.keep_s),
        )

    def _quantity(self, node: Node | None, read: Callable[[str], float], default: float) -> float:
        if node is None:
            return default
        if isinstance(node.value, int):
            return float(node.value)
        try:
            value = read(node.text)
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return default
        if value <= 0:
            self.report.problem(node.place, "must be more than zero")
        return value

    def _token(self, name: str, node: Node) -> Token:
        roles = frozenset(cast("Role", role) for role in texts_of(node.get("may")))
        return Token(name, self._secret(node.get("secret")), roles)

    def _project(self, name: str, node: Node) -> Project:
        if not re.fullmatch(NAME, name):
            self.report.problem(
                node.key_place, f"'{name}' is invalid as a name", "letters, digits, _ . and -"
            )
        source = node.get("source")
        git = source.get("git") if source is not None else None
        if git is not None and (not _CLONE.fullmatch(git.text) or git.text.startswith("-")):
            self.report.problem(git.place, f"'{git.text}' is not the address of a git repository")
        hook = node.get("hook")
        if hook is None and not texts_of(node.get("after")):
            self.report.problem(node.place, "nothing starts a build of it", "add hook or after")
        status = node.get("status")
        return Project(
            name=name,
            place=node.key_place,
            tree=text_of(node.get("tree")),
            hook=self._hook(hook) if hook is not None else None,
            git=text_of(git),
            set=tuple((key, self._text(child)) for key, child in _items(node, "set")),
            allow=self._allowed(node.get("allow")),
            publish=self._publish(node.get("publish")),
            tag=self._tag(node.get("tag")),
            status=self._status(status, hook) if status is not None else None,
            notify=tuple(self._secret(child) for child in items_of(node.get("notify"))),
            after=texts_of(node.get("after")),
        )

    def _hook(self, node: Node) -> Hook:
        refs = texts_of(node.get("refs")) or ("heads/*",)
        for child in items_of(node.get("refs")):
            if not child.text.startswith(("heads/", "tags/")):
                hint = "heads/* for branches, tags/* for tags"
                self.report.problem(child.place, f"'{child.text}' matches no ref of a push", hint)
        forge = cast("Forge", text_of(node.get("forge")))
        return Hook(forge, self._secret(node.get("secret")), text_of(node.get("repository")), refs)

    def _allowed(self, node: Node | None) -> Allowed:
        if node is None:
            return Allowed()
        for child in items_of(node.get("host_paths")):
            if not child.text.startswith("/"):
                self.report.problem(child.place, f"'{child.text}' is not an absolute path")
        networks = node.get("networks")
        return Allowed(
            host_paths=texts_of(node.get("host_paths")),
            networks=texts_of(networks) if networks is not None else Allowed().networks,
            secrets=tuple(self._secret(child) for child in items_of(node.get("secrets"))),
            is_privileged=is_true(node.get("privileged")),
        )

    def _publish(self, node: Node | None) -> tuple[Published, ...]:
        found = []
        children = [(key, child) for key, child in _items_of(node) if key != "link"]
        shared = node.get("link") if node is not None else None
        if shared is not None and len(children) != 1:
            what = "'link' goes with one published file"
            self.report.problem(shared.key_place, what, "FILE: { as: NAME, link: NAME }")
        for file, child in children:
            link = child.get("link") or shared
            found.append(
                Published(
                    self._plain_name(file, child.key_place),
                    self._file_name(child if isinstance(child.value, str) else child.get("as")),
                    self._file_name(link),
                )
            )
        return tuple(found)

    def _file_name(self, node: Node | None) -> str:
        return self._plain_name(self._text(node), node.place) if node is not None else ""

    def _plain_name(self, name: str, place: Place) -> str:
        if not name or "/" in name or name.startswith(".") or "\0" in name:
            self.report.problem(
                place, f"'{name}' is not the name of a file", "without / and without a leading dot"
            )
        return name

    def _tag(self, node: Node | None) -> str:
        text = self._text(node) if node is not None else ""
        if node is not None and not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_{}:.-]+", text):
            self.report.problem(node.place, f"'{text}' is not the name of an image", "owner/name:{branch}")
        return text

    def _text(self, node: Node) -> str:
        """Return a text whose fields are known; report one with other braces."""
        problem = brace_problem(node.text)
        if problem:
            self.report.problem(node.place, problem)
        return node.text

    def _status(self, node: Node, hook: Node | None) -> Status:
        if hook is None:
            self.report.problem(node.key_place, "'status' needs the hook of a forge")
        elif text_of(hook.get("forge")) == "git":
            self.report.problem(node.key_place, "a plain git repository has no commit statuses", "remove it")
        elif text_of(hook.get("forge")) == "gitea" and node.get("api") is None:
            self.report.problem(
                node.place, "the key 'api' is missing", "api: https://forge.example.org/api/v1"
            )
        return Status(self._secret(node.get("token")), self._url(node.get("api")).rstrip("/"))

    def _check_order(self, projects: tuple[Project, ...]) -> None:
        """Report unknown projects of `after`, and circles."""
        names = {project.name: project for project in projects}
        for name, node in _items(self.root, "projects"):
            for child in items_of(node.get("after")):
                if child.text not in names:
                    hint = did_you_mean(child.text, names, "projects")
                    self.report.problem(child.place, f"no project named '{child.text}'", hint)
            if _reaches(name, name, names):
                self.report.problem(node.key_place, f"'{name}' is built after itself")


def _reaches(start: str, goal: str, names: Mapping[str, Project]) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        project = names.get(waiting.pop())
        for before in project.after if project else ():
            if before == goal:
                return True
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return False


def _is_http(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _items(node: Node, key: str) -> list[tuple[str, Node]]:
    return _items_of(node.get(key))


def _items_of(node: Node | None) -> list[tuple[str, Node]]:
    return list(node.items()) if node is not None else []


def _whole(node: Node | None, default: int) -> int:
    return node.value if node is not None and isinstance(node.value, int) else default
