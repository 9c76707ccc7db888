"""What is placed in a container for each step: the `sysroot/` directory and the helper libraries of `plugins/lib`."""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH114, PTH116, PTH118

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config.plugins.content import KEPT_MAX_BYTES
from stalker.config.shipped import shipped
from stalker.model.diagnostics import Place
from stalker.model.tree import PLUGINS_DIR, File, Mount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stalker.config.syntax.report import Report
    from stalker.config.workspace import Workspace

_SKIPPED = frozenset({"__pycache__", ".gitkeep"})
HELPER_FOLDERS = ("plugins/lib/bash", "plugins/lib/python")


@dataclass(frozen=True, slots=True)
class Ground:
    """Files and mounts that every step of a stalk gets, before its own plugins."""

    files: tuple[File, ...] = ()
    mounts: tuple[Mount, ...] = ()

    def joined(self, weaker: Ground) -> Ground:
        """Return it with what a weaker one has at other targets."""
        taken = {file.target for file in self.files} | {mount.target for mount in self.mounts}
        left = weaker.below(self.mounts, taken)
        return Ground(self.files + left.files, self.mounts + left.mounts)

    def below(self, mounts: tuple[Mount, ...], targets: set[str]) -> Ground:
        """Return what is left of it below a stalk's own mounts and targets, which win."""
        covered = tuple(mount.target.rstrip("/") + "/" for mount in mounts)
        files = tuple(f for f in self.files if f.target not in targets and not f.target.startswith(covered))
        left = tuple(m for m in self.mounts if m.target not in targets)
        return Ground(
            self.files if len(files) == len(self.files) else files,
            self.mounts if len(left) == len(self.mounts) else left,
        )


def read_ground(sysroot: str, asked_at: Place | None, workspace: Workspace, report: Report) -> Ground:
    """Read a sysroot directory and the helpers; of two with one target the sysroot's wins.

    `asked_at` is where SYSROOT_DIR was set, None for the default: a directory that is not there is then
    no slip. A link to a directory is a read-only mount of that directory, a link to a file is that file.
    """
    walker = _Walker(workspace, report)
    kind = workspace.kind(sysroot)
    if kind == "directory":
        walker.walk(sysroot, "/", "sysroot")
    elif asked_at is not None:
        what = f"SYSROOT_DIR: {workspace.shown(sysroot)} is {'no folder' if kind else 'not there'}"
        report.warning(asked_at, what, "nothing is placed from it")
    own = Ground(tuple(walker.files), tuple(walker.mounts))
    walker = _Walker(workspace, report)
    for folder in HELPER_FOLDERS:
        if workspace.kind(folder) == "directory":
            walker.walk(folder, PLUGINS_DIR, "helper")
    return own.joined(Ground(tuple(walker.files), tuple(walker.mounts)))


class ShippedHelpers:
    """The helper libraries that come with stalker, for stalks whose scripts or files name one.

    A stalk that names none gets none, so that its steps do not run again when stalker's helpers change. What the
    workspace's own `plugins/lib` has under the same name wins.
    """

    def __init__(self, workspace: Workspace, report: Report) -> None:
        self.workspace, self.report = workspace, report
        self._names = self._missing_names()
        self._ground: Ground | None = None

    def _missing_names(self) -> dict[str, frozenset[str]]:
        """Return, for each directory of helpers, the names that the workspace has none of its own for."""
        found = {}
        for folder in HELPER_FOLDERS:
            own, other = self.workspace.absolute(folder), shipped(folder)
            if os.path.realpath(own) != os.path.realpath(other):
                names = set(self.workspace.listing(other)) - set(self.workspace.listing(folder)) - _SKIPPED
                found[other] = frozenset(names)
        return found

    def for_contents(self, contents: Iterable[bytes | None]) -> Ground:
        """Return what a stalk with these scripts and files gets; read once."""
        names = sorted(frozenset().union(*self._names.values()))
        if not names:
            return Ground()
        pattern = re.compile(rb"\b(?:" + b"|".join(re.escape(name.encode()) for name in names) + rb")\b")
        if not any(pattern.search(content) for content in contents if content is not None):
            return Ground()
        if self._ground is None:
            walker = _Walker(self.workspace, self.report)
            for folder, missing in self._names.items():
                walker.walk(folder, PLUGINS_DIR, "helper", missing)
            self._ground = Ground(tuple(walker.files), tuple(walker.mounts))
        return self._ground


class _Walker:
    """Collects the files below a directory, sorted by path."""

    def __init__(self, workspace: Workspace, report: Report) -> None:
        self.workspace, self.report = workspace, report
        self.files: list[File] = []
        self.mounts: list[Mount] = []

    def walk(self, folder: str, target: str, origin: str, only: Collection[str] | None = None) -> None:
        for name in self.workspace.listing(folder):
            if name in _SKIPPED or name.endswith(".pyc") or (only is not None and name not in only):
                continue
            path = os.path.join(folder, name)
            inside = posixpath.join(target, name)
            here = Place(self.workspace.shown(path))
            kind = self.workspace.kind(path)
            is_link = os.path.islink(self.workspace.absolute(path))
            if kind == "directory" and is_link:
                self.mount(path, inside, here)
            elif kind == "directory":
                self.walk(path, inside, origin)
            elif kind == "file":
                self.file(path, inside, here, origin)
            elif is_link:
                self.report.warning(here, "a link that leads nowhere is left out")
            else:
                self.report.warning(here, "neither file, folder nor link; it is left out")

    def mount(self, path: str, target: str, here: Place) -> None:
        real = os.path.realpath(self.workspace.absolute(path))
        digest, evidence = self.workspace.mounted_directory(path, here)
        shown = self.workspace.shown(real)
        self.mounts.append(Mount(target, "directory", shown, False, here, digest, evidence=evidence))

    def file(self, path: str, target: str, here: Place, origin: str) -> None:
        absolute = self.workspace.absolute(path)
        found = os.stat(absolute)
        mode = found.st_mode & 0o7777
        content: bytes | None = None
        if found.st_size <= KEPT_MAX_BYTES:
            content = self.workspace.read(path, here)
            if content is None:
                return
            digest = hashlib.sha256(content).hexdigest()
            if b"\0" in content:
                content = None
        else:
            streamed = self.workspace.digest(path, here)
            if streamed is None:
                return
            digest = streamed
        host_path = absolute if content is None else ""
        self.files.append(File(target, origin, digest, here, mode, content, host_path))
