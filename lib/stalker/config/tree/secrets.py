"""Secrets: declared in a tree, read at the edge, never kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.schema.types import VARIABLE
from stalker.config.syntax.document import is_true, text_of
from stalker.config.syntax.report import Report, did_you_mean
from stalker.errors import FilesError
from stalker.io.atomic import create_file
from stalker.model.diagnostics import Place
from stalker.model.tree import SecretSource, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.config.syntax.document import Node
    from stalker.config.workspace import Workspace

SECRET_MAX_BYTES = 1024 * 1024

GENERATED_FROM = "abcdefghijkmnopqrstuvwxyz23456789"
"""Letters and digits that look alike in no font, each on a key of its own on every keyboard."""

GENERATED_LENGTH = 20
"""Of these characters: 100 bits, more than anybody can try."""


def declared_secrets(node: Node | None, workspace: Workspace, report: Report) -> dict[str, SecretSource]:
    """Read the `secrets` of a tree file: where each value comes from, not the value."""
    found: dict[str, SecretSource] = {}
    for name, child in node.items() if node is not None else ():
        if not VARIABLE.match(name):
            report.problem(
                child.key_place, f"'{name}' cannot be a variable's name", "secrets are in UPPER CASE"
            )
            continue
        if not isinstance(child.value, dict):
            continue
        env, file = (text_of(child.get(key)) for key in ("env", "file"))
        if bool(env) == bool(file):
            report.problem(
                child.place, "a secret comes from either env or file", "{ env: NAME } or { file: path }"
            )
            continue
        if file and not file.startswith("/") and not workspace.is_inside(file):
            given = child.get("file")
            assert given is not None
            report.problem(given.place, f"'{file}' leaves the workspace", "write an absolute path")
            continue
        is_generated = is_true(child.get("generate"))
        if is_generated and not file:
            report.problem(child.place, "what is generated needs a file to be kept in", "add file: path")
            continue
        counts = is_true(child.get("counts"))
        found[name] = SecretSource(name, child.key_place, env, file, is_generated, counts)
    return found


def is_to_be_generated(source: SecretSource, tree: Tree) -> bool:
    """Return whether a secret's value is made when it is read for the first time, which is yet to come."""
    return source.is_generated and not Path(tree.workspace, source.file).exists()


def read_secrets(tree: Tree, names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of some of a tree's secrets; of a file without its last newline.

    Those that are to be generated are made the first time that they are asked for.

    Raises:
        FilesError: some are not available; all of them are named, none with its value.
    """
    sources = {source.name: source for source in tree.secrets}
    report = Report()
    values: dict[str, str] = {}
    for name in names:
        source = sources.get(name)
        if source is None:
            report.problem(
                Place(tree.file), f"no secret named '{name}'", did_you_mean(name, sources, "secrets")
            )
            continue
        value = environ.get(source.env) if source.env else _read_file(source, tree, report)
        if value is None and source.env:
            report.problem(
                source.place,
                f"the environment variable {source.env} is not set",
                f"export {source.env} before the run",
            )
        elif value == "":
            report.problem(source.place, f"the secret {name} is empty")
        elif value is not None and "\0" in value:
            report.problem(source.place, f"the secret {name} holds the character NUL")
        elif value is not None:
            values[name] = value
    if report.has_errors:
        raise FilesError(report.errors())
    return values


def _read_file(source: SecretSource, tree: Tree, report: Report) -> str | None:
    path = Path(tree.workspace, source.file)
    try:
        if is_to_be_generated(source, tree):
            _generate(path)
        with path.open("rb") as stream:
            data = stream.read(SECRET_MAX_BYTES + 1)
        if len(data) > SECRET_MAX_BYTES:
            report.problem(source.place, f"{source.file} is larger than a secret should be (1 MiB)")
            return None
        return data.decode("utf-8").removesuffix("\n")
    except OSError as error:
        doing = "made" if source.is_generated and not path.exists() else "read"
        report.problem(source.place, f"{source.file} cannot be {doing}: {(error.strerror or '').lower()}")
    except UnicodeDecodeError:
        report.problem(source.place, f"{source.file} is not UTF-8")
    return None


def _generate(path: Path) -> None:
    """Make a file with a new secret that only its owner can read; two runs that begin at once end with one value."""
    import secrets

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    value = "".join(secrets.choice(GENERATED_FROM) for _ in range(GENERATED_LENGTH))
    create_file(path, f"{value}\n", mode=0o600)
