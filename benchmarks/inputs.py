"""Workspaces and Dockerfiles that ask for the same work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from peer import PREFIX
from timing import ROOT, run

OS = PREFIX.rstrip("/")


class Workspace:
    """A folder with trees and stalks, and the plugins of this checkout, as a user has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("trees", "stalks", "sysroot", "logs"):
            (path / name).mkdir(parents=True)
        shutil.copytree(ROOT / "plugins", path / "plugins", ignore=shutil.ignore_patterns("__pycache__"))

    def add_tree(self, name: str, stalks: Mapping[str, object]) -> str:
        """Write a tree whose images are called `stalker-bench/bench/<name>/<stalk>`; return its path."""
        tree = {
            "architecture": {"OS": OS, "ARCH": "bench", "SUBARCH": name, "ENTROPY_ARCH": "amd64"},
            "paths": {"SYSROOT_DIR": "sysroot", "LOG_DIR": "logs"},
            "stalks": stalks,
        }
        file = f"trees/{name}.hjson"
        (self.path / file).write_text(json.dumps(tree, indent=2))
        return file

    def add_stalk(self, name: str, commands: Sequence[str]) -> None:
        """Write a stalk of one step a command: `s0`, `s1` ..."""
        plugins = {
            f"s{number}": {"exec": True, "text": f"#!/bin/sh\n{command}\n"}
            for number, command in enumerate(commands)
        }
        folder = self.path / "stalks" / name
        folder.mkdir()
        (folder / f"{name}.hjson").write_text(json.dumps({"plugins": plugins}, indent=2))

    def stalker(self, *words: str) -> float:
        """Run the command as a user types it, and return the seconds."""
        return run([str(ROOT / "stalker"), "--workspace", str(self.path), *words], cwd=self.path)[0]


def images_of(tree: str, stalk: str) -> str:
    """Return the name of a stalk's images, without the step."""
    return f"{PREFIX}bench/{tree}/{stalk}"


def dockerfile(folder: Path, base: str, commands: Sequence[str]) -> Path:
    """Write a Dockerfile with one RUN line a command, in a folder of its own."""
    folder.mkdir(parents=True)
    lines = [f"FROM {base}", *(f"RUN {command}" for command in commands)]
    (folder / "Dockerfile").write_text("\n".join([*lines, ""]))
    return folder
