"""Directories of the service below its work directory.

projects/<project>/mirror.git     all refs of the repository
projects/<project>/workspace/     kept from build to build: generated secrets, stores
projects/<project>/logs/, artifacts/
builds/<id>/                      one build
    tree/                         the checkout, until the build is over
    spec.json                     what its process does
    lock                          locked as long as its process lives
    process                       its process group
    events.jsonl                  its events, one a line
    messages.txt                  its stderr
    exit                          its exit code, written last
key                               signs cookies
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProjectPlaces:
    """The directories of one project."""

    root: Path

    @property
    def mirror(self) -> Path:
        """The bare repository."""
        return self.root / "mirror.git"

    @property
    def kept(self) -> tuple[Path, ...]:
        """Directories that every checkout of the project shares."""
        return tuple(self.root / name for name in KEPT)


KEPT = ("workspace", "logs", "artifacts")


@dataclass(frozen=True, slots=True)
class BuildPlaces:
    """The files of one build."""

    root: Path

    @property
    def checkout(self) -> Path:
        """The workspace of a build with a repository."""
        return self.root / "tree"

    @property
    def spec(self) -> Path:
        """What the process does."""
        return self.root / "spec.json"

    @property
    def lock(self) -> Path:
        """Locked as long as the process lives."""
        return self.root / "lock"

    @property
    def process(self) -> Path:
        """The number of the process group."""
        return self.root / "process"

    @property
    def events(self) -> Path:
        """The events, one JSON object a line."""
        return self.root / "events.jsonl"

    @property
    def messages(self) -> Path:
        """What the process wrote on stderr."""
        return self.root / "messages.txt"

    @property
    def exit(self) -> Path:
        """The exit code; it exists once the run is over."""
        return self.root / "exit"


@dataclass(frozen=True, slots=True)
class Places:
    """The work directory."""

    root: Path

    def build(self, build_id: str) -> BuildPlaces:
        """Return the files of a build."""
        return BuildPlaces(self.root / "builds" / build_id)

    def project(self, name: str) -> ProjectPlaces:
        """Return the directories of a project."""
        return ProjectPlaces(self.root / "projects" / name)

    @property
    def key(self) -> Path:
        """The key that signs cookies."""
        return self.root / "key"
