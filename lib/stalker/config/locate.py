"""Where the files of a command line are; light, because a warm start needs nothing else of this package."""

# os.path is several times faster than pathlib, and importing it costs nothing.
# ruff: noqa: PTH100, PTH112, PTH113, PTH116, PTH118, PTH119, PTH120

from __future__ import annotations

import os

OWN = ("trees", "stalks")
"""A directory with one of these is a workspace itself."""


def find_workspace(start: str) -> str:
    """Return the absolute path of the workspace that a directory is in: the nearest parent with `trees/`.

    Where there is none, or `start` is a workspace itself, that is `start`. A parent that belongs to another user
    is not taken: anyone can make `/tmp/trees`.
    """
    here = os.path.abspath(start)
    if any(os.path.isdir(os.path.join(here, name)) for name in OWN):
        return here
    parent = os.path.dirname(here)
    while parent != here:
        if _is_workspace_of(os.path.join(parent, "trees"), start):
            return parent
        here, parent = parent, os.path.dirname(parent)
    return os.path.abspath(start)


def _is_workspace_of(trees: str, start: str) -> bool:
    """Return whether this is a directory that belongs to the user, or to the owner of `start`: root may work for others."""
    if not os.path.isdir(trees):
        return False
    return os.stat(trees).st_uid in {os.geteuid(), os.stat(start).st_uid}


def find_file(path: str, workspace: str) -> str:
    """Return the absolute path of a file, empty when there is none; relative to here, else to the workspace."""
    candidates = (os.path.abspath(path), os.path.normpath(os.path.join(os.path.abspath(workspace), path)))
    return next((one for one in candidates if os.path.isfile(one)), "")


def find_tree(path: str, workspace: str) -> str:
    """Return the absolute path of a tree's file, empty when there is none.

    `path` is a file or a tree's directory, relative to the current directory or else to the workspace, or
    the bare name of a tree in `trees/`. A bare name is a tree's first: in `stalks/` it is a stalk's directory too.
    """
    candidates = [os.path.abspath(path), os.path.normpath(os.path.join(os.path.abspath(workspace), path))]
    if "/" not in path and path not in {"", ".", ".."}:
        trees = os.path.join(os.path.abspath(workspace), "trees")
        name = path.removesuffix(".hjson")
        named = [os.path.join(trees, name), os.path.join(trees, name + ".hjson")]
        candidates = [*named, *candidates] if name == path else [*candidates, *named]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
        inside = os.path.join(candidate, os.path.basename(candidate) + ".hjson")
        if os.path.isfile(inside):
            return inside
    return ""
