"""The tables of docs/reference that declarations make: keys of files, and options of DOCKER_OPTS.

A table is below a comment that names its declaration: `<!-- keys: MODULE.NAME -->` of `stalker.config.schema`,
or `<!-- options: FATE -->`. After a change of a declaration: PYTHONPATH=lib .venv/bin/python tests/doc_tables.py
"""

from __future__ import annotations

import re
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.config.docker_options.table import TABLE, Row
from stalker.config.schema.types import Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.config.schema.types import Shape

DOCS = Path(__file__).resolve().parents[1] / "docs"

_TABLE = re.compile(
    r"(?P<mark><!-- (?P<kind>keys|options): (?P<name>[\w.]+) -->\n\n)(?P<table>(?:\|[^\n]*\n)*)"
)
_TYPES = {
    "object": "mapping",
    "array": "list",
    "string": "text",
    "integer": "number",
    "boolean": "true, false",
}


def with_tables(page: str) -> str:
    """Return the text of a page with the tables that the declarations make."""
    return _TABLE.sub(lambda found: found["mark"] + _made(found["kind"], found["name"]), page)


def _made(kind: str, name: str) -> str:
    if kind == "options":
        return options_table(name)
    module, _, declared = name.partition(".")
    return keys_table(getattr(import_module(f"stalker.config.schema.{module}"), declared))


def keys_table(shape: Keys | Mapping[str, Shape]) -> str:
    """Return the table of a mapping's keys; neighbours of which the same is true share a row."""
    keys = shape.keys if isinstance(shape, Keys) else shape
    required = shape.required if isinstance(shape, Keys) else ()
    has_kinds = len({one.of for one in keys.values()}) > 1
    has_defaults = any(one.default for one in keys.values())
    head = ["key", *["goes with"] * has_kinds, "is", *["default"] * has_defaults]

    def cells(key: str) -> list[str]:
        one = keys[key]
        is_required = key in required
        what = f"{one.help.rstrip('.')}. Required." if is_required and not has_defaults else one.help
        default = "required" if is_required else one.default
        return [*[one.of.replace(" ", ", ") or "all"] * has_kinds, what, *[default] * has_defaults]

    rows = [[", ".join(f"`{key}`" for key in same), *rest] for rest, same in groupby(keys, cells)]
    return _table(head, rows)


def options_table(fate: str) -> str:
    """Return the table of the options of DOCKER_OPTS that are passed on, settled or refused."""
    rows = [row for row in TABLE if row.fate == fate]
    if fate != "passed":
        return _table(["option", "because"], [[_names(row), row.why] for row in rows])
    return _table(
        ["option", "value", "what it is", "counts"],
        [[_names(row), _kind(row), row.help, "yes" if row.counts else "no"] for row in rows],
    )


def _names(row: Row) -> str:
    return ", ".join(f"`{name}`" for name in (row.name, *row.aliases))


def _kind(row: Row) -> str:
    kinds = row.json_type if isinstance(row.json_type, tuple) else (row.json_type,)
    return " or ".join(_TYPES[each] for each in kinds)


def _table(head: list[str], rows: Iterable[list[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(with_tables(text), encoding="utf-8")
