"""A workspace and its trees: what the commands `plan`, `run`, `images`, `artifacts` and `export` do."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.committed.states import export_state, list_states
from stalker.app.environment import connect
from stalker.app.execute import planned
from stalker.app.inventory import list_artifacts
from stalker.app.planner import Planner
from stalker.app.run import RunRequest
from stalker.app.settings import Settings, StepRequest
from stalker.app.trees import read_tree
from stalker.errors import PlanError
from stalker.library.run import Run
from stalker.model import labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.artifacts.inventory import Item
    from stalker.images.listing import Row
    from stalker.model.events import PlannedArtifact, PlannedBase, PlannedStep
    from stalker.model.tree import Tree as ReadTree


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, each with `verdict` and `reason`, in the order of the tree."""

    bases: tuple[PlannedBase, ...]
    steps: tuple[PlannedStep, ...]
    artifacts: tuple[PlannedArtifact, ...]
    warnings: tuple[str, ...]

    @property
    def to_run(self) -> tuple[PlannedStep, ...]:
        """The steps that would run."""
        return tuple(step for step in self.steps if step.verdict == "RUN")

    @property
    def blocked(self) -> tuple[PlannedStep, ...]:
        """The steps that cannot run."""
        return tuple(step for step in self.steps if step.verdict == "BLOCKED")


@dataclass(frozen=True, slots=True)
class CommittedImage:
    """A name of a committed image, empty for an old build that lost its name to a newer one.

    `kind` is step, failed, shell, base or temporary; `step` the full name of the step that left it. `own_bytes`
    is what it adds to the step before it, None where that is not known; `created_s` Unix time.
    """

    name: str
    id: str
    kind: str
    step: str
    fingerprint: str
    run: str
    created_s: float
    own_bytes: int | None
    total_bytes: int


@dataclass(frozen=True, slots=True)
class PublishedArtifact:
    """An artifact of a tree. `state` is made, stale, damaged, unproven or missing; `reason` says why.

    `path` is its directory, None where nothing is published; `files` are the names in it.
    """

    tree: str
    artifact: str
    state: str
    reason: str
    path: Path | None
    size_bytes: int
    made_s: float | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory with `trees/` and `stalks/`. A relative path is one of the current directory."""

    path: Path

    def __init__(self, path: str | os.PathLike[str] = ".") -> None:
        """Raises PlanError: there is no such directory."""
        absolute = Path(os.path.abspath(path))  # noqa: PTH100  `..` is resolved by text, as the commands do
        if not absolute.is_dir():
            raise PlanError(
                f"{absolute} is not a directory", "", "name the directory with trees/ and stalks/"
            )
        object.__setattr__(self, "path", absolute)

    def tree(
        self,
        name: str,
        *,
        with_: Sequence[str | os.PathLike[str]] = (),
        set: Mapping[str, str] | None = None,  # noqa: A002  the name of the option
    ) -> Tree:
        """Read a tree: its name, file or directory. `with_` files are merged onto it, `set` sets variables.

        Raises:
            FilesError: all problems of all files, each with its place.
        """
        tree = Tree(self, name, tuple(os.fspath(file) for file in with_), dict(set or {}))
        tree._read()  # noqa: SLF001  problems are reported now
        return tree

    def images(self) -> tuple[CommittedImage, ...]:
        """Return the committed images of all trees. Raises NoEngine."""
        return _images(None)

    def artifacts(self, *, verify: bool = False) -> tuple[PublishedArtifact, ...]:
        """Return the artifacts of all trees that can be read; with `verify` all files are read."""
        return _artifacts(self._settings, None, verify=verify)

    @property
    def _settings(self) -> Settings:
        return Settings(str(self.path))


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of a workspace. Each plan and run reads its files again, so that edits count."""

    workspace: Workspace
    name: str
    with_files: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def plan(
        self, *, from_: str = "", until: str | Sequence[str] = (), only: str = "", no_cache: bool = False
    ) -> Plan:
        """Return what a run would do; nothing is changed.

        Raises:
            FilesError, PlanError: files have problems, or a step is unknown. NoEngine: no engine answers.
        """
        steps = self._steps(from_, until, only, no_cache=no_cache)
        read = self._read()
        with contextlib.closing(connect()) as engine:
            planner = Planner.of(self._settings, read, engine, steps, _ignore)
            event = planned(planner.draw())
        return Plan(event.bases, event.steps, event.artifacts, (*read.warnings, *planner.cautions))

    def run(
        self,
        *,
        from_: str = "",
        until: str | Sequence[str] = (),
        only: str = "",
        no_cache: bool = False,
        jobs: int = 0,
        keep_going: bool = False,
        wait: bool = False,
        yes: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run and return it; the options are those of `stalker run`.

        `jobs` 0 is the number of cores. Secrets come from `environ`, by default the environment.
        """
        request = RunRequest(
            self._steps(from_, until, only, no_cache=no_cache),
            jobs,
            keep_going=keep_going,
            wait=wait,
            yes=yes,
            environ=os.environ if environ is None else environ,
        )
        return Run(self._settings, self.name, request)

    def images(self) -> tuple[CommittedImage, ...]:
        """Return the committed images of this tree. Raises NoEngine."""
        return _images(self._read())

    def artifacts(self, *, verify: bool = False) -> tuple[PublishedArtifact, ...]:
        """Return the artifacts of this tree; with `verify` all files are read."""
        return _artifacts(self._settings, self._read(), verify=verify)

    def export(
        self, ref: str, output: str | os.PathLike[str], *, boot: str | os.PathLike[str] = ""
    ) -> tuple[Path, ...]:
        """Write the root file system of `stalk:step` as a tar, compressed as the name ends; return the files.

        Raises:
            PlanError: no such image, or a file cannot be written so. StalkerError: it could not be written.
        """
        read = self._read()
        with contextlib.closing(connect()) as engine:
            _, exported = export_state(engine, ref, read, os.fspath(output), os.fspath(boot))
        return tuple(Path(file.path) for file in exported)

    @property
    def _settings(self) -> Settings:
        return Settings(str(self.workspace.path))

    def _read(self) -> ReadTree:
        return read_tree(self._settings, self.name, dict(self.variables), self.with_files)

    def _steps(self, from_: str, until: str | Sequence[str], only: str, *, no_cache: bool) -> StepRequest:
        ends = (until,) if isinstance(until, str) and until else tuple(until)
        return StepRequest(from_, ends, only, no_cache, dict(self.variables), self.with_files)


def _ignore(_text: str) -> None:
    """Drop a line on what takes long."""


def _images(tree: ReadTree | None) -> tuple[CommittedImage, ...]:
    with contextlib.closing(connect()) as engine:
        return tuple(_committed(row) for row in list_states(engine, tree))


def _committed(row: Row) -> CommittedImage:
    image = row.image
    return CommittedImage(
        name=row.name,
        id=image.id,
        kind=row.kind,
        step=row.step,
        fingerprint=image.labels.get(labels.FINGERPRINT, ""),
        run=image.labels.get(labels.RUN, ""),
        created_s=image.created_s,
        own_bytes=row.own_bytes,
        total_bytes=image.size_bytes,
    )


def _artifacts(settings: Settings, tree: ReadTree | None, *, verify: bool) -> tuple[PublishedArtifact, ...]:
    return tuple(_published(item) for item in list_artifacts(settings, tree, _ignore, verify=verify))


def _published(item: Item) -> PublishedArtifact:
    manifest = item.manifest
    return PublishedArtifact(
        tree=item.tree,
        artifact=item.artifact.id,
        state=item.state,
        reason=item.reason,
        path=item.folder,
        size_bytes=manifest.size_bytes if manifest else 0,
        made_s=item.made_s,
        files=tuple(file.name for file in manifest.files) if manifest else (),
    )
