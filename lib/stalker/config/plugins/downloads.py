"""File plugins whose content is fetched: `url` with `sha256` or `checksum`, `mirrors` and `headers`."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stalker.config.card.conversions import checked_url
from stalker.config.card.values import CreationReader
from stalker.config.plugins.arguments import Filled, fill
from stalker.config.syntax.document import is_true
from stalker.config.tree import names
from stalker.model.card import Digest, Source
from stalker.model.inputs import Download, GitSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.config.plugins.values import PluginReader
    from stalker.config.syntax.document import Node
    from stalker.model.variables import Variable

WEAK = frozenset({"md5", "sha1", "adler32"})
"""Two different files with the same one can be made: no identity of a content."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name. Source: RFC 9110, 5.6.2."""

_SCP_STYLE = re.compile(r"[\w.-]+@[\w.-]+:(?!:)[^\s]+")
_REF = re.compile(r"[A-Za-z0-9][^\x00-\x20\x7f~^:?*\[\\]*")
"""A name as git takes it. Source: git-check-ref-format(1)."""


def read_download(node: Node, variables: tuple[Variable, ...], reader: PluginReader) -> Download | None:
    """Return what a file plugin fetches; None where that is wrong, which is reported, or not known without a tree.

    `{NAME}` of the plugin's own variables is replaced in all of it; secrets are for headers alone.
    """
    report, filling = reader.report, _Filling(variables, reader)
    template = node.get("template")
    if template is not None:
        report.problem(template.key_place, "'template' does not go with url", "keep one of them")
    problems = len(report.errors())
    address = filling.get(node, "url")
    url = filling.address(address)
    mirrors = tuple(filter(None, (filling.address(one) for one in filling.items(node, "mirrors"))))
    headers = tuple(filling.headers(node))
    digest = _digest(node, filling, reader)
    if address is None or not url or len(report.errors()) > problems:
        return None
    if digest is None:
        what = "a URL without a checksum: unless a lock file has it, each plan asks what it is now"
        report.warning(address.key_place, what, 'add sha256: "..." or a checksum')
    elif digest.algorithm in WEAK:
        what = f"{digest.algorithm} is weak: another file with the same {digest.algorithm} can be made"
        report.warning(address.key_place, what, "add sha256 in its place")
    secrets = sorted({one.secret for one in variables if one.secret})
    return Download(Source(url, digest, mirrors), address.place, headers, tuple(secrets))


def read_git(node: Node, variables: tuple[Variable, ...], reader: PluginReader) -> GitSource | None:
    """Return the repository that a directory plugin names; None where that is wrong, which is reported, or unknown."""
    report, filling = reader.report, _Filling(variables, reader)
    problems = len(report.errors())
    address = filling.get(node, "git")
    url = filling.address(address, _git_address)
    ref = filling.text(node, "ref", _ref) or "HEAD"
    subdirectory = filling.text(node, "subdirectory", _subdirectory)
    headers = tuple(filling.headers(node))
    given = node.get("headers")
    if given is not None and url and not url.lower().startswith(("http://", "https://")):
        report.problem(given.key_place, "headers go with http and https")
    if address is None or not url or subdirectory is None or len(report.errors()) > problems:
        return None
    secrets = tuple(sorted({one.secret for one in variables if one.secret}))
    return GitSource(url, address.place, ref, subdirectory, is_true(node.get("submodules")), headers, secrets)


def _git_address(text: str) -> str:
    if _SCP_STYLE.match(text):
        return text
    scheme, found, rest = text.partition("://")
    if not found:
        raise ValueError(f"'{text}' is not an address of a repository; https://..., ssh://... or file:///...")
    if scheme.lower() not in {"https", "http", "ssh", "git", "file"}:
        raise ValueError(f"a git repository cannot be fetched by {scheme}; https, http, ssh, git or file")
    if not rest.strip("/") or any(letter <= " " for letter in text):
        raise ValueError(f"'{text}' is not an address of a repository")
    return text


def _ref(text: str) -> str:
    if not _REF.fullmatch(text) or ".." in text or text.endswith((".lock", "/", ".")):
        raise ValueError(f"'{text}' is not a branch, a tag or a commit")
    return text


def _subdirectory(text: str) -> str:
    path = posixpath.normpath(text)
    if path.startswith(("/", "..")) or ":" in path:
        raise ValueError(
            f"'{text}' is not a directory in a repository; a path without / at its beginning and without .."
        )
    return "" if path == "." else path


def planned_digest(digest: Digest | None) -> str:
    """Return what counts of a file with this checksum, empty where its server has to be asked."""
    if digest is None or digest.is_url:
        return ""
    return digest.value if digest.algorithm == "sha256" else f"{digest.algorithm}:{digest.value}"


class _Filling:
    """Reads the values of one plugin, its variables put in."""

    def __init__(self, variables: tuple[Variable, ...], reader: PluginReader) -> None:
        self.variables = {variable.name: variable for variable in variables}
        self.reader = reader
        self.unknown = [one.name for one in variables if not one.value] if reader.scope.is_open else []

    def get(self, node: Node, key: str) -> Node | None:
        child = node.get(key)
        return fill(child, self.variables, self.unknown) if child is not None else None

    def items(self, node: Node, key: str) -> list[Node]:
        child = self.get(node, key)
        if child is None:
            return []
        return child.value if isinstance(child.value, list) else [child]

    def text(self, node: Node, key: str, read: Callable[[str], str]) -> str | None:
        """Return a text; empty where it is missing, None where it is wrong, which is reported, or not known yet."""
        child = self.get(node, key)
        if child is None or not isinstance(child.value, str):
            return ""
        if isinstance(child, Filled) and child.is_hidden:
            return None
        return self.reader.report.attempt(child.place, read, child.text)

    def address(self, node: Node | None, read: Callable[[str], str] = checked_url) -> str:
        """Return an address; empty where it is wrong, which is reported, or not known yet."""
        if node is None or not isinstance(node.value, str):
            return ""
        report = self.reader.report
        if isinstance(node, Filled) and node.is_hidden:
            if any(one.secret for one in self.variables.values() if f"secret:{one.secret}" in node.text):
                what = "a secret cannot be part of an address, which is shown"
                report.problem(node.place, what, "send it as a header: headers: { Authorization: ... }")
            return ""
        url = report.attempt(node.place, read, node.text) or ""
        if url and _has_login(url):
            report.problem(
                node.place,
                "an address with a login in it is for all to read",
                "send the login as a header that holds a secret: headers: { Authorization: ... }",
            )
            return ""
        return url

    def headers(self, node: Node) -> Iterator[tuple[str, str]]:
        """Yield names and values of headers; what is wrong is reported."""
        child = self.get(node, "headers")
        if child is None or not isinstance(child.value, dict):
            return
        for name, value in child.items():
            if not _HEADER_NAME.fullmatch(name):
                self.reader.report.problem(value.key_place, f"'{name}' cannot name a header")
            elif any(letter in value.text for letter in "\r\n\0"):
                self.reader.report.problem(value.place, "a header cannot hold a line break or NUL")
            elif isinstance(value.value, str):
                yield name, value.text


def _has_login(url: str) -> bool:
    """Return whether an address holds a password, or any login of http."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    login, at, _ = parts.netloc.rpartition("@")
    return bool(at) and (":" in login or parts.scheme.lower() in {"http", "https"})


def _digest(node: Node, filling: _Filling, reader: PluginReader) -> Digest | None:
    short, whole = filling.get(node, "sha256"), filling.get(node, "checksum")
    if short is not None and whole is not None:
        reader.report.problem(whole.key_place, "both 'sha256' and 'checksum'", "keep one of them")
    if short is None:
        return CreationReader(reader.report, None, "").digest(whole)
    if not isinstance(short.value, str) or (isinstance(short, Filled) and short.is_hidden):
        return None
    value = reader.report.attempt(short.place, names.sha256, short.text)
    return Digest("sha256", value) if value else None
