"""The content of placed files and scripts: values filled in, secrets left as markers, shebang lines read."""
# ruff: noqa: PTH116

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stalker.config.syntax.report import Report, did_you_mean
from stalker.config.workspace import Workspace, decoded, why
from stalker.model.diagnostics import Place
from stalker.model.tree import Script, secret_marker
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.config.syntax.document import Node


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
    """Return the content of the file that a `path` names; None when it cannot be read, which is reported.

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
    """Return the content with `{NAME}` or Jinja2 put in; None when that fails, which is reported.

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
    """Make a script of a content; None when it has no usable shebang line, which is reported.

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

    `bad` where the path is not possible, which is reported.
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
    """Tell that nothing is where a `path` leads, with the nearest name in its directory."""
    folder, slash, name = node.text.rstrip("/").rpartition("/")
    near = did_you_mean(name, workspace.listing(folder or "."))
    hint = near.replace("did you mean '", f"did you mean '{folder}{slash}")
    report.problem(
        node.place,
        f"there is no {workspace.shown(node.text)}",
        hint if hint.startswith("did") else "paths are relative to the workspace",
    )


_BRACED = re.compile(rb"\{([A-Z_][A-Z0-9_]*)\}")
_MARKER = re.compile(re.escape(secret_marker("@")).replace("@", "([A-Z_][A-Z0-9_]*)").encode())


def substitute(content: bytes, variables: Iterable[Variable]) -> bytes:
    """Return the content with `{NAME}` replaced for each of the variables.

    All other bytes stay as they are, other braces too; values are not looked into again.
    """
    if b"{" not in content:
        return content
    values = {variable.name.encode(): shown_value(variable).encode() for variable in variables}
    if not values:
        return content
    return _BRACED.sub(lambda found: values.get(found[1], found[0]), content)


def shown_value(variable: Variable) -> str:
    """Return a variable's value, or the marker of the secret it stands for."""
    return secret_marker(variable.secret) if variable.secret else variable.value


def fill_secrets(content: bytes, values: Mapping[str, str]) -> bytes:
    """Return the content with each secret's marker replaced by its value.

    Raises:
        KeyError: the content holds a secret that `values` lacks.
    """
    if b"\xee\x80\x80" not in content:  # how a marker begins
        return content
    return _MARKER.sub(lambda found: values[found[1].decode()].encode("utf-8", "surrogateescape"), content)


class TemplateProblem(Exception):
    """A template that cannot be rendered; `line` counts from 1 in the template."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


def render(source: str, variables: Iterable[Variable]) -> str:
    """Render a Jinja2 template, sandboxed, with the variables as text.

    Raises:
        TemplateProblem: its syntax, a name that is not a variable, or anything else it stumbles over.
    """
    from jinja2 import StrictUndefined, TemplateSyntaxError  # 40 ms; most stalks have no template
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    values: dict[str, Any] = {variable.name: shown_value(variable) for variable in variables}
    try:
        return environment.from_string(source).render(values)
    except TemplateSyntaxError as error:
        raise TemplateProblem(error.message or "bad syntax", error.lineno) from error
    except Exception as error:
        raise TemplateProblem(str(error) or type(error).__name__, _line_of(error)) from error


def _line_of(error: BaseException) -> int:
    """Return the template's line that an error came from; Jinja2 puts it into the traceback."""
    line = 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in {"<template>", "<unknown>"}:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


SHELLS = frozenset(
    {"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "pdksh", "oksh", "zsh", "yash", "posh", "rbash"}
)
_VERSION = re.compile(r"-?\d[\d.]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def interpreter_of(content: bytes) -> tuple[str, ...]:
    """Return program and, if there is one, its argument, as the kernel splits a shebang line.

    All that follows the program is one argument; blanks around it are cut off.

    Raises:
        ValueError: there is no usable shebang line; the text says why.
    """
    if not content.startswith(b"#!"):
        if content.startswith(b"\xef\xbb\xbf#!"):
            raise ValueError("a byte order mark stands before the shebang line")
        raise ValueError("no shebang line")
    line = content[2:].split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise ValueError("the shebang line ends in a carriage return, as Windows writes it")
    try:
        words = line.decode("utf-8").strip(" \t").split(None, 1)
    except UnicodeDecodeError:
        raise ValueError("the shebang line is not UTF-8") from None
    if not words:
        raise ValueError("the shebang line names no program")
    if not words[0].startswith("/"):
        raise ValueError(f"the shebang line names '{words[0]}'; the kernel wants an absolute path")
    return tuple(word.strip(" \t") for word in words)


def is_posix_shell(interpreter: tuple[str, ...]) -> bool:
    """Return whether braces in a script belong to a shell: sh, bash, ..., also by `env` or `busybox`."""
    return bool(shell_of(interpreter))


@lru_cache(maxsize=64)  # a tree has thousands of scripts and few interpreters
def shell_of(interpreter: tuple[str, ...]) -> str:
    """Return the name of the POSIX shell that runs a script, without its version, empty for none."""
    words = [posixpath.basename(interpreter[0]), *" ".join(interpreter[1:]).split()]
    if words[0] == "env":
        words = _after_env(words[1:])
    if words and posixpath.basename(words[0]) in {"busybox", "toybox"}:
        words = words[1:]
    if not words:
        return ""
    name = posixpath.basename(words[0])
    return next((shell for shell in (name, _VERSION.sub("", name)) if shell in SHELLS), "")


def _after_env(words: list[str]) -> list[str]:
    """Drop the options and assignments of `env`."""
    left = list(words)
    while left:
        word = left[0]
        if word in {"-u", "--unset", "-C", "--chdir"}:
            left = left[2:]
        elif word.startswith("-S") and word != "-S":
            left = [word[2:], *left[1:]]
        elif word.startswith("--split-string="):
            left = [word.partition("=")[2], *left[1:]]
        elif word.startswith("-") or _ASSIGNMENT.match(word):
            left = left[1:]
        else:
            break
    return left
