"""The files of a workspace: found, read within limits, and remembered with their digests.

Every file and directory that decided something is remembered, so that a cache can tell when to forget.
"""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH100, PTH116, PTH118, PTH208

from __future__ import annotations

import hashlib
import os
import stat as stat_bits
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.digests import digest_directory, directory_evidence
from stalker.config.syntax.document import Document
from stalker.config.syntax.hjson import read_hjson
from stalker.config.tree.build_context import context_digest
from stalker.config.tree.evidence import OF_ITSELF, YOUNG_NS, content_digest, kind_of, names_digest, stat_of
from stalker.io.units import size_text
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from stalker.config.syntax.report import Report

FILE_MAX_BYTES = 4 * 1024 * 1024
"""A tree, stalk or sidecar larger than this is not read."""

YAML_ENDINGS = (".yaml", ".yml")

SOURCE_MAX_BYTES = 64 * 1024 * 1024
"""A script, or a file whose text is substituted, larger than this is not read."""


class Workspace:
    """A workspace while it is read: one instance a reading.

    `path` is absolute. Names of files are shown relative to it where they lie in it.
    """

    def __init__(self, path: str, report: Report) -> None:
        self.path = os.path.abspath(path)
        self.report = report
        self.digests: dict[str, str] = {}
        self.seen: dict[str, tuple[str, str, tuple[int, ...]]] = {}
        """What was seen of each absolute path, as `evidence` puts it, and its state before it was read;
        nothing that decided is left out."""
        self._documents: dict[str, Document | None] = {}
        self._directories: dict[tuple[str, bool], str] = {}
        self._evidence: dict[str, str] = {}

    def absolute(self, name: str) -> str:
        """Return the absolute path of a name relative to the workspace; `..` is resolved by text."""
        return os.path.normpath(os.path.join(self.path, name))

    def shown(self, path: str) -> str:
        """Return a path as messages show it: relative to the workspace if it lies in it."""
        absolute = self.absolute(path)
        inside = os.path.relpath(absolute, self.path)
        return absolute if inside == ".." or inside.startswith("../") else inside

    def is_inside(self, name: str) -> bool:
        """Return whether a name, relative or absolute, stays inside the workspace."""
        absolute = self.absolute(name)
        return absolute == self.path or absolute.startswith(self.path.rstrip("/") + "/")

    def kind(self, name: str) -> str:
        """Return `file`, `directory`, `other`, or empty when nothing is there; links are followed."""
        absolute = self.absolute(name)
        kind = kind_of(absolute)
        self.seen.setdefault(absolute, ("kind", kind, ()))
        return kind

    def listing(self, name: str) -> list[str]:
        """Return the sorted names in a directory, none when it is not there."""
        absolute = self.absolute(name)
        before = stat_of(absolute)
        try:
            names = sorted(os.listdir(absolute))
        except OSError:
            self.seen.setdefault(absolute, ("kind", kind_of(absolute), ()))
            return []
        self._saw(absolute, "names", names_digest(names), before)
        return names

    def document(self, name: str, *, may_be_yaml: bool = False) -> Document | None:
        """Read a Hjson file; None when that is not possible, and the report says why. Read once.

        With `may_be_yaml` one that ends in .yaml or .yml is YAML.
        """
        shown = self.shown(name)
        if shown not in self._documents:
            self._documents[shown] = self._read_document(name, shown, may_be_yaml=may_be_yaml)
        return self._documents[shown]

    def _read_document(self, name: str, shown: str, *, may_be_yaml: bool) -> Document | None:
        here = Place(shown)
        data = self.read(name, here, limit_bytes=FILE_MAX_BYTES)
        if data is None:
            return None
        text = decoded(data, here, self.report)
        if text is None:
            return None
        if may_be_yaml and name.lower().endswith(YAML_ENDINGS):
            from stalker.config.syntax.yaml import read_yaml  # late: YAML takes 20 ms

            document = read_yaml(text, shown)
        else:
            document = read_hjson(text, shown)
        self.report.take(document.problems)
        if document.root is None:
            return None
        if document.lack:
            self.report.problem(here, document.lack)
            return None
        return document

    def read(self, name: str, asked_at: Place, *, limit_bytes: int = SOURCE_MAX_BYTES) -> bytes | None:
        """Return the bytes of a regular file; None when it cannot be read, reported at `asked_at`."""
        absolute = self.absolute(name)
        shown = self.shown(name)
        before = stat_of(absolute)
        try:
            found = os.stat(absolute)
            if not stat_bits.S_ISREG(found.st_mode):
                self.report.problem(asked_at, f"{shown} is not a regular file")
                return None
            if found.st_size > limit_bytes:
                self.report.problem(
                    asked_at,
                    f"{shown} has {size_text(found.st_size)}; more than {size_text(limit_bytes)} are not read",
                    "is it the right file?",
                )
                return None
            with Path(absolute).open("rb") as stream:
                data = stream.read(limit_bytes + 1)
        except (OSError, ValueError) as error:
            self.report.problem(asked_at, f"{shown} cannot be read: {why(error)}")
            return None
        digest = hashlib.sha256(data).hexdigest()
        self.digests[shown] = digest
        self._saw(absolute, "content", digest, before)
        return data

    def digest(self, name: str, asked_at: Place) -> str | None:
        """Return the SHA-256 (hex) of a file of any size, read in pieces; None when that fails."""
        absolute = self.absolute(name)
        before = stat_of(absolute)
        try:
            digest = content_digest(absolute)
        except OSError as error:
            self.report.problem(asked_at, f"{self.shown(name)} cannot be read: {why(error)}")
            return None
        self.digests[self.shown(name)] = digest
        self._saw(absolute, "content", digest, before)
        return digest

    def directory_digest(self, name: str, asked_at: Place, *, owners: bool = False) -> str:
        """Return the digest of a directory's content, empty when that fails, reported at `asked_at`.

        With `owners` the owners in it count, and its own mode. A directory that holds the workspace is
        refused: each run writes logs there, so that no step would ever be the same twice.
        """
        given = self.absolute(name)
        absolute = os.path.realpath(given)
        if absolute != given:
            self.seen[given] = ("real", absolute, ())  # a link in it may lead elsewhere tomorrow
        key = (absolute, owners)
        if key not in self._directories:
            self._directories[key] = self._directory_digest(absolute, asked_at, owners=owners)
        return self._directories[key]

    def context_digest(self, name: str, dockerfile: str, asked_at: Place) -> str:
        """Return the digest of what of a Dockerfile's directory is sent, empty when that fails."""
        absolute = os.path.realpath(self.absolute(name))
        if absolute != self.absolute(name):
            self.seen[self.absolute(name)] = ("real", absolute, ())
        try:
            return context_digest(absolute, dockerfile, on_entry=self._saw)
        except OSError as error:
            where = os.fsdecode(error.filename) if error.filename else absolute
            self.report.problem(asked_at, f"{self.shown(where)} cannot be read: {why(error)}")
            return ""

    def mounted_directory(self, name: str, asked_at: Place) -> tuple[str, str]:
        """Return the digest of a directory as a container sees it, and the evidence for it; see `Mount`."""
        absolute = os.path.realpath(self.absolute(name))
        if absolute not in self._evidence:
            self._evidence[absolute] = evidence_of(absolute)
        return self.directory_digest(name, asked_at, owners=True), self._evidence[absolute]

    def _directory_digest(self, absolute: str, asked_at: Place, *, owners: bool) -> str:
        if (os.path.realpath(self.path) + "/").startswith(absolute.rstrip("/") + "/"):
            self.report.problem(
                asked_at,
                f"{absolute} holds the workspace, and what is read-only counts by content, logs too",
                "name a smaller folder, or add mode: rw, which counts by name",
            )
            return ""
        try:
            return digest_directory(absolute, owners=owners, on_entry=self._saw)
        except OSError as error:
            where = os.fsdecode(error.filename) if error.filename else absolute
            self.report.problem(asked_at, f"{self.shown(where)} cannot be read: {why(error)}")
            return ""

    def _saw(self, path: str, what: str, value: str, before: tuple[int, ...]) -> None:
        """Remember what was seen of a path; of two readings the first, so that a change between them is found.

        What a link leads to says more than the link: where it leads to another file, so does its state.
        """
        known = self.seen.get(path)
        if known is None or (known[0] != what and what not in OF_ITSELF):
            self.seen[path] = (what, value, before)


def evidence_of(directory: str) -> str:
    """Return the evidence that a directory did not change; empty where it proves nothing.

    What has changed within the last seconds may change again and look the same.
    """
    now_ns = time.time_ns()
    try:
        evidence, latest_ns = directory_evidence(directory)
    except OSError:
        return ""
    return evidence if latest_ns < now_ns - YOUNG_NS else ""


def decoded(data: bytes, here: Place, report: Report) -> str | None:
    """Return UTF-8 bytes as text; None when they are not, and the report names line and column."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line_at = data.rfind(b"\n", 0, error.start) + 1
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[line_at : error.start].decode("utf-8", "replace")) + 1
        is_utf16 = data[:2] in {b"\xff\xfe", b"\xfe\xff"}
        report.problem(
            Place(here.file, line, column, here.path),
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            "the file is UTF-16; save it as UTF-8" if is_utf16 else "save the file as UTF-8",
        )
        return None


def why(error: Exception) -> str:
    """Return an operating system's reason in its own words."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
