"""Where an artifact comes from: base, steps, directories and files with their digests, and the revision."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from stalker import __version__
from stalker.io.compression.writer import packing_of
from stalker.model.artifacts import tars_of
from stalker.model.base_key import describe_base
from stalker.model.tree import StepId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.artifacts import Artifact
    from stalker.model.tree import Tree
    from stalker.plan.plan import BaseAction, Plan

GIT_S = 10.0


def made_of(plan: Plan, step: StepId, images: Mapping[StepId, str]) -> dict[str, Any]:
    """Return what a step's image was made of: its base, all steps before it, what they read.

    `images` are the images of steps that ran since the plan was drawn.
    """
    links = plan.links
    lineage = links.ancestors([step])
    steps = []
    directories: dict[str, str] = {}
    bases: dict[str, BaseAction] = {}
    for link in links:
        if link.id not in lineage:
            continue
        action = plan.actions.get(link.id)
        found = {
            "step": link.id,
            "fingerprint": action.fingerprint if action else "",
            "image": images.get(link.id) or (action.image if action else ""),
        }
        steps.append({name: value for name, value in found.items() if value})
        directories |= {mount.source: mount.digest for mount in link.step.mounts if mount.digest}
        if link.parent is None and link.base_stalk in plan.bases:
            bases[link.base_stalk] = plan.bases[link.base_stalk]
    found_bases = [_base(one) for one in bases.values()]
    return {
        "bases": found_bases,
        "steps": steps,
        "directories": directories,
        "files": dict(links.tree.files_read),
    }


def _base(action: BaseAction) -> dict[str, Any]:
    """Return a base: its image, what it was, and what it was checked against."""
    found: dict[str, Any] = {"stalk": action.stalk, "name": action.name, "image": action.image}
    if action.base is not None:
        found["base"] = describe_base(action.base)
        for one in dataclasses.fields(action.base):
            value = getattr(action.base, one.name)
            if one.name not in {"place", "name"} and value:
                found[one.name] = list(value) if isinstance(value, tuple) else value
    return found


def revision(tree: Tree) -> dict[str, Any]:
    """Return the git commit of the workspace, and whether its files differ from it; nothing without git."""
    commit = _git(tree.workspace, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    # Nothing else of the repository counts: logs and artifacts may be in it.
    read = [file for file, _ in tree.files_read]
    status = _git(tree.workspace, "status", "--porcelain", "--", *read) if len(read) < 1000 else None
    if status is None:
        status = _git(tree.workspace, "status", "--porcelain")
    found: dict[str, Any] = {"commit": commit, "is_changed": bool(status)}
    described = _git(tree.workspace, "describe", "--tags", "--always", "--dirty")
    return found | ({"describe": described} if described else {})


def _git(workspace: str, *words: str) -> str | None:
    if shutil.which("git") is None:
        return None
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", workspace, *words],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def tools(artifact: Artifact) -> dict[str, str]:
    """Return the versions of what makes an artifact on this host."""
    found = {"stalker": __version__, "python": platform.python_version()}
    for file in tars_of(artifact):
        argv = packing_of(file)[1]
        if argv:
            found[argv[0]] = _version(argv[0])
    return found


def _version(program: str) -> str:
    """Return the first line of what a program says of its version."""
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip("* ")
