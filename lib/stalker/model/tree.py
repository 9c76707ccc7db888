"""A tree as it was read: stalks, their steps, and all that a step needs to run.

Everything is frozen and pickles, so that a step can cross a process or a host. No secret value is in
here: where a file or script holds a secret, its content carries `secret_marker(NAME)` until it is
placed in a container.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NewType

from stalker.model.artifacts import Artifact
from stalker.model.diagnostics import Place
from stalker.model.variables import Variable as Variable  # noqa: PLC0414  part of a tree for those who read one

if TYPE_CHECKING:
    from stalker.model.inputs import Download, GitSource

StepId = NewType("StepId", str)
"""`stalk:step`, unique in a tree."""

PLUGINS_DIR = "/entropy/plugins"
"""Where scripts, file plugins without `bind`, and the helper libraries are in a container."""


def step_id(stalk: str, step: str) -> StepId:
    """Return the id of a step: `stage3:install`."""
    return StepId(f"{stalk}:{step}")


def secret_marker(name: str) -> str:
    """Return what is in a content in place of the secret `name`."""
    return f"\ue000secret:{name}\ue001"


@dataclass(frozen=True, slots=True)
class Script:
    """A step's program.

    `interpreter` is the shebang line split as the kernel would: the program, then at most one
    argument string (`/usr/bin/env -S` style flags stay in it); `content` is what is placed at
    `/entropy/plugins/<step>`, after substitution; `digest` is the SHA-256 (hex) of the source
    before substitution.
    """

    interpreter: tuple[str, ...]
    content: bytes
    digest: str
    place: Place


@dataclass(frozen=True, slots=True)
class File:
    """A file or symbolic link that is placed in a container.

    `content` is None when the bytes are read from `host_path` at the time of placing (binary or
    large files of the sysroot); `link` is the target of a symbolic link, else empty. `digest` is
    the SHA-256 (hex) of the source before substitution. `variables` are those of a file plugin.
    `plugin` names the plugin, `sysroot` or `helper` otherwise. A `download` is what is fetched for it; then `digest`
    is `algorithm:digits` for another algorithm, and empty until its server was asked where no digits pin it.
    """

    target: str
    plugin: str
    digest: str
    place: Place
    mode: int = 0o644
    content: bytes | None = None
    host_path: str = ""
    link: str = ""
    variables: tuple[Variable, ...] = ()
    download: Download | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A host directory or a named volume, mounted while steps run and never part of an image.

    `digest` is the content digest (hex) of a directory that is mounted read-only, else empty:
    what is writable counts by name. With `is_locked`, of a store, stalks that mount it so run one
    after the other. `evidence` (hex) is what `lstat` reported of it before it was read, empty where that
    proves nothing. Of a directory of a `git` repository, `source` is the address and `digest` the tree's id, empty until
    its server was asked; a step gets a checkout in its place.
    """

    target: str
    kind: Literal["directory", "store"]
    source: str
    writable: bool
    place: Place
    digest: str = ""
    is_locked: bool = False
    evidence: str = field(default="", compare=False)
    git: GitSource | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of DOCKER_OPTS, checked; `value` is JSON text with sorted keys.

    `counts` says whether it can change what a step writes, so whether it is in the fingerprint.
    """

    name: str
    value: str
    counts: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Ready:
    """When a daemonized step is ready: it listens on a TCP port, a shell command succeeds, or its output has a match."""

    kind: Literal["port", "command", "log"]
    value: str
    timeout_s: float
    place: Place

    @property
    def text(self) -> str:
        """What is waited for, in words."""
        return {
            "port": f"port {self.value}",
            "command": f"`{self.value}`",
            "log": f"a line with {self.value!r}",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Step:
    """One exec plugin: one container state, one commit, one tag.

    `files` are there while the script runs and are taken away before the commit; `copies` are
    placed before the script and `late_copies` after it (those written below the last exec plugin),
    and both stay. `environment` is the stalk's `envplugins`. `ready` is when a daemonized one is up, None as soon as
    it runs. `uses` is the name of the reusable
    plugin, if any.
    """

    stalk: str
    name: str
    script: Script
    place: Place
    variables: tuple[Variable, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    copies: tuple[File, ...] = ()
    late_copies: tuple[File, ...] = ()
    mounts: tuple[Mount, ...] = ()
    options: tuple[Option, ...] = ()
    platform: str = ""
    timeout_s: float | None = None
    retries: int = 0
    daemonize: bool = False
    ready: Ready | None = None
    uses: str = ""

    @property
    def id(self) -> StepId:
        """`stalk:step`."""
        return step_id(self.stalk, self.name)


@dataclass(frozen=True, slots=True)
class ImageBase:
    """An image of a registry, or one of that name already there; `digest` pins it (`sha256:...`)."""

    name: str
    place: Place
    digest: str = ""


@dataclass(frozen=True, slots=True)
class TarballBase:
    """A root file system as a tar file, path or URL, with a checksum or a detached signature.

    `signature` is a path or URL; `keys` are files that hold public keys; `fingerprints` are full
    OpenPGP fingerprints, of which one must have signed.
    """

    source: str
    place: Place
    sha256: str = ""
    signature: str = ""
    keys: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BootstrapBase:
    """A Debian root file system made by mmdebstrap or debootstrap."""

    suite: str
    place: Place
    include: tuple[str, ...] = ()
    variant: str = "minbase"
    mirror: str = ""
    components: tuple[str, ...] = ("main",)
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class DockerfileBase:
    """A Dockerfile in a directory of the workspace or in a git repository at a commit.

    `context_digest` is the content digest of the directory, empty for git.
    """

    context: str
    place: Place
    commit: str = ""
    dockerfile: str = "Dockerfile"
    arguments: tuple[tuple[str, str], ...] = ()
    context_digest: str = ""


@dataclass(frozen=True, slots=True)
class TagBase:
    """An image that is already there, by its full name; made elsewhere or by an earlier run."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class DiskBase:
    """The system in a disk image: its root partition, and its boot partition where its own fstab mounts it.

    `source` is a path or URL, `checksum` is `algorithm:digits` of the file as it is published, compressed or not:
    that of the tree, or the SHA-256 of a file of this host. `root` is the number of the partition, 0 for the one
    with a system in it.
    """

    source: str
    place: Place
    checksum: str
    root: int = 0


Base = ImageBase | TarballBase | BootstrapBase | DockerfileBase | TagBase | DiskBase


@dataclass(frozen=True, slots=True)
class Stalk:
    """One node of a tree: steps in a row.

    `name` is the node's, `file` the stalk file's place; `repository` is the image name without a
    tag. `parent` is the stalk it is nested in, empty for a root. `start` is the step whose image
    it starts from when DOCKER_INIT_IMG names one of this tree. `needs` are stalk names or step
    ids. `bases` are tried in order, and stand only where no step gives the first image.
    `skip_until` is a step's name or empty. `resources` are free labels for placing (`cpus`, ...).
    """

    name: str
    repository: str
    place: Place
    file: str
    steps: tuple[Step, ...]
    parent: str = ""
    start: StepId | None = None
    needs: tuple[tuple[str, Place], ...] = ()
    bases: tuple[Base, ...] = ()
    pretend: bool = False
    skip_until: str = ""
    platform: str = ""
    resources: tuple[tuple[str, str], ...] = ()
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret's value comes from: the name of an environment variable, or a file.

    With `is_generated` a file that is not there is made, with a random value. With `counts` another
    value runs what depends on it.
    """

    name: str
    place: Place
    env: str = ""
    file: str = ""
    is_generated: bool = False
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree file with all its stalks, parents before children, in the order of the file.

    `workspace` is an absolute path; `log_dir` and `artifacts_dir` are relative to it or absolute. `architecture` is the
    `<OS>/<ARCH>/<SUBARCH>` prefix of its images, lower case; `arch_label` is `<ARCH>-<SUBARCH>`,
    as log files are named. `files_read` are all files that decided the content, with digests.
    `hazards_waived` are hazards of foreign platforms that do not block here, each with the reason.
    """

    name: str
    file: str
    workspace: str
    log_dir: str
    architecture: str
    arch_label: str
    stalks: tuple[Stalk, ...]
    secrets: tuple[SecretSource, ...] = ()
    files_read: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    artifacts_dir: str = "artifacts"
    hazards_waived: tuple[tuple[str, str], ...] = ()

    def stalk(self, name: str) -> Stalk:
        """Return the stalk of that name. Raises KeyError."""
        for stalk in self.stalks:
            if stalk.name == name:
                return stalk
        raise KeyError(name)
