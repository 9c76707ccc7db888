"""Values into contents: `{NAME}`, Jinja2, and secrets, which stay markers until they are placed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from stalker.model.tree import Variable, secret_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        TemplateProblem: its syntax, a name that is no variable, or anything else it stumbles over.
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
