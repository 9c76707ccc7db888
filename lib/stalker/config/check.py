"""`stalker check`: all problems of some files, whatever kind each is."""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH119

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.card.load import check_creation
from stalker.config.docker_options.table import read_options
from stalker.config.locate import find_file, find_tree
from stalker.config.plugins.declared import read_plugins
from stalker.config.plugins.reusable import ENDINGS, read_sidecar
from stalker.config.schema import tree
from stalker.config.schema.types import check
from stalker.config.service.load import FILE_NAME, check_service
from stalker.config.syntax.report import Report, did_you_mean
from stalker.config.tree.load import load_tree, tree_files
from stalker.config.tree.nodes import check_variables, read_environment
from stalker.config.tree.targets import check_targets
from stalker.config.tree.variables import Scope, settings_of
from stalker.config.workspace import YAML_ENDINGS, Workspace, decoded
from stalker.errors import ArgumentsError
from stalker.model.diagnostics import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.config.syntax.document import Node

_FOLDERS = {"trees": "tree", "stalks": "stalk", "plugins": "plugin"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking files; `missing` are those, as typed, that are neither file nor tree."""

    problems: tuple[Problem, ...]
    files_read: int
    missing: tuple[Problem, ...] = ()


def check_files(paths: Iterable[str], workspace: str) -> list[Problem]:
    """Return all problems and warnings of trees, stalks, sidecars and card images, by file, then line.

    A tree is checked with all that hangs on it. In a stalk that is checked by itself anything that
    it inherits counts as set. Each path is a file, relative to the current directory or to the workspace,
    or a tree's directory or name.
    """
    checked = check_all(paths, workspace)
    report = Report()
    report.take((*checked.problems, *checked.missing))
    return report.sorted()


def check_all(paths: Iterable[str], workspace: str, with_files: Sequence[str] = ()) -> Checked:
    """Check as `check_files` does, and count the files read; `with_files` are merged onto each tree.

    Raises:
        ArgumentsError: one of `with_files` is missing, or none of `paths` is a tree.
    """
    report = Report()
    read: set[str] = set()
    missing = []
    for path in paths:
        files = Workspace(workspace, report)
        found = _find(path, files)
        if found:
            read |= _check_file(found, files, report, with_files)
        else:
            missing.append(_no_file(path, files))
    files = Workspace(workspace, report)
    merged = [files.shown(find_file(path, workspace)) for path in with_files]
    if not missing and not read.issuperset(merged):
        raise ArgumentsError([Problem(Place(merged[0]), "--with: none of these files is a tree")])
    return Checked(tuple(report.sorted()), len(read), tuple(missing))


def _find(path: str, files: Workspace) -> str:
    return find_file(path, files.path) or find_tree(path, files.path)


def _no_file(path: str, files: Workspace) -> Problem:
    known = [name for name, _ in tree_files(files)]
    near = did_you_mean(path, known)
    hint = near if near.startswith("did") else "a file, or the name of a tree"
    return Problem(Place(path), "there is no such file", hint)


def _check_file(found: str, files: Workspace, report: Report, with_files: Sequence[str]) -> set[str]:
    """Check a file that is there; return the names of all files that were read."""
    kind = kind_of_file(found, files)
    if not kind and os.path.basename(found) == FILE_NAME:
        _check_service(found, files, report)
        return set(files.digests)
    if not kind and _is_image(found, files):
        _check_image(found, files, report)
        return set(files.digests)
    if kind != "tree":
        document = files.document(found)
        if document is None or document.root is None:
            return set(files.digests)
        kind = kind or _kind_by_keys(document.root)
        if kind == "stalk":
            _check_stalk(document.root, files, report)
        elif kind == "plugin":
            _check_sidecar(document.root, files, report)
        elif not kind:
            hint = "a tree has 'stalks', a stalk 'plugins', a sidecar 'summary', a card image 'base'"
            what = "neither a tree, nor a stalk, nor a plugin's sidecar, nor a card image"
            report.problem(document.root.place, what, hint)
    if kind != "tree":
        return set(files.digests)
    reading = load_tree(found, files.path, {}, with_files)
    report.take(reading.report.sorted())
    return set(reading.workspace.digests)


def kind_of_file(path: str, workspace: Workspace) -> str:
    """Return tree, stalk or plugin by the directory that a file is in, empty when it is none of them."""
    return _FOLDERS.get(workspace.shown(path).split("/")[0], "")


def _kind_by_keys(root: Node) -> str:
    for key, kind in (
        ("stalks", "tree"),
        ("plugins", "stalk"),
        ("arguments", "plugin"),
        ("summary", "plugin"),
    ):
        if root.get(key) is not None:
            return kind
    return ""


def _is_image(found: str, files: Workspace) -> bool:
    """Return whether a file configures a card image: YAML does, and Hjson with the key that no other kind has."""
    if found.lower().endswith(YAML_ENDINGS):
        return True
    document = Workspace(files.path, Report()).document(found)
    root = document.root if document is not None else None
    return root is not None and not _kind_by_keys(root) and root.get("base") is not None


def _check_image(found: str, files: Workspace, report: Report) -> None:
    here = Place(files.shown(found))
    data = files.read(found, here)
    text = decoded(data, here, report) if data is not None else None
    if text is not None:
        report.take(check_creation(text, here.file, Path(found).parent))


def _check_service(found: str, files: Workspace, report: Report) -> None:
    here = Place(files.shown(found))
    data = files.read(found, here)
    text = decoded(data, here, report) if data is not None else None
    if text is not None:
        report.take(check_service(text, here.file, files.path))


def _check_stalk(root: Node, files: Workspace, report: Report) -> None:
    if not check(root, tree.STALK, tree.NAMED, report):
        return
    options = read_options(root.get("DOCKER_OPTS"), report)
    scope = Scope(settings_of(root), is_open=True)
    plugins = read_plugins(root.get("plugins"), scope, files, report)
    check_targets(plugins.targets, options, report)
    environment = read_environment(root.get("envplugins"), scope, report)
    check_variables(plugins.execs, environment, root.get("envplugins"), report)


def _check_sidecar(root: Node, files: Workspace, report: Report) -> None:
    file = root.document.file
    stem = file.removesuffix(".hjson")
    scripts = [f"{stem}.{ending}" for ending in ENDINGS if files.kind(f"{stem}.{ending}") == "file"]
    if not scripts:
        report.problem(Place(file), "a sidecar without a script", " or ".join(f"{stem}.{e}" for e in ENDINGS))
    read_sidecar(root, os.path.basename(stem), scripts[0] if scripts else "", report)
