"""What a plugin's content is: from `text` or a file, with values put in."""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH116

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config.report import Report, did_you_mean
from stalker.config.scripts import interpreter_of, is_posix_shell
from stalker.config.substitution import TemplateProblem, render, substitute
from stalker.config.workspace import Workspace, decoded, why
from stalker.model.places import Place
from stalker.model.tree import Script, Variable

if TYPE_CHECKING:
    from stalker.config.document import Node

KEPT_MAX_BYTES = 1024 * 1024
"""Larger contents stay on the host until they are placed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A content before anything is put in.

    `data` is None where only `host_path` has it. `mode` is the file's own, None for text. `digest`
    is that of the bytes; a template counts as something else than the same bytes as they are, since
    it gives another file. `first_line` is the line of `place.file` on which it begins, 0 when its
    lines are not the file's.
    """

    data: bytes | None
    digest: str
    place: Place
    mode: int | None = None
    host_path: str = ""
    is_template: bool = False
    first_line: int = 1


def text_source(node: Node, *, is_template: bool) -> Source:
    """Return the content of a `text`."""
    data = node.text.encode()
    is_block = node.document.text.startswith("'''", node.at)
    first_line = node.body_line if is_block else 0
    return Source(
        data,
        _digest(data, is_template=is_template),
        node.place,
        is_template=is_template,
        first_line=first_line,
    )


def file_source(
    node: Node, workspace: Workspace, report: Report, *, is_template: bool, is_read: bool
) -> Source | None:
    """Return the content of the file that a `path` names; None when it cannot be read, which is told.

    A large file stays on the host unless `is_read`, so does a binary one.
    """
    here = Place(workspace.shown(node.text))
    host_path = workspace.absolute(node.text)
    try:
        found = os.stat(host_path)
    except OSError as error:
        report.problem(node.place, f"{here.file} cannot be read: {why(error)}")
        return None
    mode = found.st_mode & 0o7777
    if found.st_size > KEPT_MAX_BYTES and not is_read:
        digest = workspace.digest(node.text, node.place)
        return None if digest is None else Source(None, digest, here, mode, host_path)
    data = workspace.read(node.text, node.place)
    if data is None:
        return None
    return Source(data, _digest(data, is_template=is_template), here, mode, host_path, is_template)


def _digest(data: bytes, *, is_template: bool) -> str:
    return hashlib.sha256((b"jinja2\0" if is_template else b"") + data).hexdigest()


def filled(source: Source, variables: tuple[Variable, ...], report: Report) -> bytes | None:
    """Return the content with `{NAME}` or Jinja2 put in; None when that fails, which is told.

    None too for what stays on the host: large files, and binary ones that nothing is put into.
    """
    if source.data is None:
        return None
    if source.is_template:
        return _rendered(source, variables, report)
    data = substitute(source.data, variables)
    return None if source.host_path and data == source.data and b"\0" in data else data


def _rendered(source: Source, variables: tuple[Variable, ...], report: Report) -> bytes | None:
    assert source.data is not None
    text = decoded(source.data, source.place, report)
    if text is None:
        return None
    try:
        return render(text, variables).encode()
    except TemplateProblem as error:
        at, what = source.place, f"template, line {error.line}: {error.what}"
        if source.first_line:
            at = Place(at.file, source.first_line + error.line - 1, 1, at.path)
            what = f"template: {error.what}"
        names = ", ".join(variable.name for variable in variables) or "none"
        report.problem(at, what, f"variables of this plugin: {names}")
        return None


def script_of(
    source: Source, variables: tuple[Variable, ...], report: Report, *, is_as_it_is: bool = False
) -> Script | None:
    """Make a script of a content; None when it has no usable shebang line, which is told.

    In a script for a POSIX shell braces are the shell's and nothing is put in, nor with `is_as_it_is`.
    """
    data = source.data
    assert data is not None
    if source.is_template:
        data = _rendered(source, variables, report)
        if data is None:
            return None
    try:
        interpreter = interpreter_of(data)
        if not (is_as_it_is or source.is_template or is_posix_shell(interpreter)):
            data = substitute(data, variables)
            interpreter = interpreter_of(data)
    except ValueError as error:
        report.problem(source.place, str(error), "the first line says what runs it, like #!/bin/sh")
        return None
    return Script(interpreter, data, source.digest, source.place)


def usable_path(node: Node, workspace: Workspace, report: Report) -> str:
    """Return what a `path` leads to: file, directory, other, or empty for nothing.

    `bad` where the path is not possible, which is told.
    """
    if not node.text:
        report.problem(node.place, "the path is empty")
        return "bad"
    if "\0" in node.text:
        report.problem(node.place, "a path cannot hold the character NUL")
        return "bad"
    if not node.text.startswith("/") and not workspace.is_inside(node.text):
        hint = "relative paths stay inside the workspace; an absolute one may lead elsewhere"
        report.problem(node.place, f"'{node.text}' leaves the workspace", hint)
        return "bad"
    return workspace.kind(node.text)


def tell_missing(node: Node, workspace: Workspace, report: Report) -> None:
    """Tell that nothing is where a `path` leads, with the nearest name in its folder."""
    folder, slash, name = node.text.rstrip("/").rpartition("/")
    near = did_you_mean(name, workspace.listing(folder or "."))
    hint = near.replace("did you mean '", f"did you mean '{folder}{slash}")
    report.problem(
        node.place,
        f"there is no {workspace.shown(node.text)}",
        hint if hint.startswith("did") else "paths are relative to the workspace",
    )
