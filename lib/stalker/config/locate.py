"""Where the files of a command line are; light, because a warm start needs nothing else of this package."""

# os.path is several times faster than pathlib, and importing it costs nothing.
# ruff: noqa: PTH100, PTH113, PTH118, PTH119

from __future__ import annotations

import os


def find_file(path: str, workspace: str) -> str:
    """Return the absolute path of a file, empty when there is none; relative to here, else to the workspace."""
    candidates = (os.path.abspath(path), os.path.normpath(os.path.join(os.path.abspath(workspace), path)))
    return next((one for one in candidates if os.path.isfile(one)), "")


def find_tree(path: str, workspace: str) -> str:
    """Return the absolute path of a tree's file, empty when there is none.

    `path` is a file or a tree's folder, relative to the current folder or else to the workspace, or
    the bare name of a tree in `trees/`.
    """
    candidates = [os.path.abspath(path), os.path.normpath(os.path.join(os.path.abspath(workspace), path))]
    if "/" not in path and path not in {"", ".", ".."}:
        trees = os.path.join(os.path.abspath(workspace), "trees")
        name = path.removesuffix(".hjson")
        candidates += [os.path.join(trees, name), os.path.join(trees, name + ".hjson")]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
        inside = os.path.join(candidate, os.path.basename(candidate) + ".hjson")
        if os.path.isfile(inside):
            return inside
    return ""
