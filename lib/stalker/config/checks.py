"""`stalker check`: all problems of some files, whatever kind each is."""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH100, PTH113, PTH119

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.config import shapes
from stalker.config.docker_opts import read_options
from stalker.config.plugins import read_plugins
from stalker.config.report import Report
from stalker.config.reusable import ENDINGS, read_sidecar
from stalker.config.scope import Scope, settings_of
from stalker.config.shape import check
from stalker.config.trees import load_tree
from stalker.config.workspace import Workspace
from stalker.model.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.config.document import Node
    from stalker.model.places import Problem

_FOLDERS = {"trees": "tree", "stalks": "stalk", "plugins": "plugin"}


def check_files(paths: Iterable[str], workspace: str) -> list[Problem]:
    """Return all problems and warnings of trees, stalks and sidecars, by file, then line.

    A tree is checked with all that hangs on it. In a stalk that is checked by itself anything that
    it inherits counts as set. Each path is relative to the current folder or to the workspace.
    """
    report = Report()
    for path in paths:
        _check_file(path, workspace, report)
    return report.sorted()


def _check_file(path: str, workspace: str, report: Report) -> None:
    files = Workspace(workspace, report)
    found = os.path.abspath(path)
    if not os.path.isfile(found):
        found = files.absolute(path)
    if not os.path.isfile(found):
        report.problem(Place(path), "there is no such file")
        return
    kind = kind_of_file(found, files)
    if kind == "tree":
        report.take(load_tree(found, workspace, {}).report.sorted())
        return
    document = files.document(found)
    if document is None or document.root is None:
        return
    if not kind:
        kind = _kind_by_keys(document.root)
    if kind == "stalk":
        _check_stalk(document.root, files, report)
    elif kind == "plugin":
        _check_sidecar(document.root, files, report)
    elif kind == "tree":
        report.take(load_tree(found, workspace, {}).report.sorted())
    else:
        hint = "a tree has 'stalks', a stalk 'plugins', a sidecar 'summary'"
        report.problem(document.root.place, "neither a tree, nor a stalk, nor a plugin's sidecar", hint)


def kind_of_file(path: str, workspace: Workspace) -> str:
    """Return tree, stalk or plugin by the folder that a file stands in, empty when it is none of them."""
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


def _check_stalk(root: Node, files: Workspace, report: Report) -> None:
    if not check(root, shapes.STALK, shapes.NAMED, report):
        return
    read_options(root.get("DOCKER_OPTS"), report)
    read_plugins(root.get("plugins"), Scope(settings_of(root), is_open=True), files, report)


def _check_sidecar(root: Node, files: Workspace, report: Report) -> None:
    file = root.document.file
    stem = file.removesuffix(".hjson")
    scripts = [f"{stem}.{ending}" for ending in ENDINGS if files.kind(f"{stem}.{ending}") == "file"]
    if not scripts:
        report.problem(Place(file), "a sidecar without a script", " or ".join(f"{stem}.{e}" for e in ENDINGS))
    read_sidecar(root, os.path.basename(stem), scripts[0] if scripts else "", report)
