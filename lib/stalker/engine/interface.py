"""The boundary to the engine: narrow, in our words, with our errors.

Every promise here has one test in `tests/contract` that runs on the fake always and on Docker when
there is one. All calls raise `NoEngine` when the engine is not there or goes away, `NotThere` for an
unknown image or container, `EngineFull` when its disk is full, `EngineError` for any other refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.model.images import Image
    from stalker.model.tree import Mount, Option


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself; `id` is its own unique name, stable over restarts."""

    id: str
    name: str
    version: str
    storage: str
    os: str
    architecture: str
    cpus: int
    memory_bytes: int
    root_dir: str
    address: str
    is_rootless: bool = False
    kernel: str = ""
    kind: str = "Docker"
    is_containerd: bool = False
    """Return whether Docker keeps its images in containerd: each layer compressed too, and commits without the ARM variant."""
    layers_max: int = 125
    """How many layers an image may have."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """How a container is started: from which image, with which mounts and options.

    `labels` are put on the container; a commit passes on those that it does not replace. `hosts` are more names for
    `/etc/hosts`: name -> address. `network_of` is a running container whose network it joins, empty for
    one of its own. The container idles: its first process does nothing but reap, and wait for its end.
    """

    image: str
    name: str
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    options: tuple[Option, ...] = ()
    platform: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    workspace: str = ""
    network_of: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as listed; `state` is the engine's word for it: created, running, paused, exited, dead.

    `created_s` is Unix time by the engine's clock.
    """

    id: str
    name: str
    image: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    created_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What one inspection tells: is it up, bytes in its writable layer, its address on its network.

    `writable_bytes` of a container that wrote nothing is up to 16 KB, by engine. `exit_code` is that of its first
    process, once it has ended; `is_out_of_memory` that the kernel ended it.
    """

    is_running: bool
    writable_bytes: int
    address: str
    exit_code: int | None = None
    is_out_of_memory: bool = False


class Shell(Protocol):
    """A `/bin/sh` of root in a container that reads programs from its input, one after the other."""

    def run(
        self,
        program: bytes,
        on_output: Callable[[bytes, bool], None],
        has_ended: Callable[[], bool],
        stop: Callable[[], bool],
    ) -> bool:
        """Feed it a program and pass on what is written until `has_ended`; then return True.

        False when `stop`, asked at least five times a second, said so, or when the shell is gone.
        """

    def close(self) -> None:
        """Let go of it; what runs in it goes on until its container is removed."""


class Engine(Protocol):
    """A Docker engine, or what is in for one."""

    def info(self) -> EngineInfo:
        """Ask who answers."""

    def labelled_images(self) -> list[Image]:
        """List all images that carry our labels, untagged parents too, in one call."""

    def image(self, name: str) -> Image | None:
        """Inspect one image by name or id; None when it is not there.

        Its comment is that of its own commit, never one that it has from the image that it was made of.
        """

    def sized(self, image: str) -> Image | None:
        """Return an image by its id with the size that a listing gives it; None when it is not there.

        What an image takes on the engine's disk, compressed copies of its layers included. What an inspection gives
        as `size_bytes` is that only where an engine keeps none.
        """

    def rootfs_bytes(self, image: str) -> int:
        """Return how many bytes the files of an image take: the sum of its layers, as they are in a container."""

    def layers_max(self) -> int:
        """Return how many layers an image may have; asked once."""

    def registry_digest(self, name: str) -> str:
        """Ask the image's registry for the digest of `name`. Raises NotThere when it has none."""

    def pull(self, name: str, platform: str, progress: Callable[[str], None]) -> Image:
        """Pull an image; `progress` receives a line now and then."""

    def push(self, name: str, progress: Callable[[str], None]) -> str:
        """Push a tag to its registry and return its digest."""

    def import_rootfs(
        self, stream: Iterable[bytes], name: str, labels: Mapping[str, str], comment: str, platform: str = ""
    ) -> Image:
        """Make an image of a root file system's tar stream (any compression), tagged `name`.

        It has PATH set and `/bin/sh` as its command, and the architecture and variant of `platform`,
        when that is given, on every engine. What is committed on it has them too.
        """

    def build(
        self,
        context: Iterable[bytes],
        dockerfile: str,
        name: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        platform: str,
        progress: Callable[[str], None],
    ) -> Image:
        """Build a Dockerfile from a tar stream of its directory."""

    def create(self, spec: ContainerSpec) -> str:
        """Create an idling container and return its id; nothing runs in it yet."""

    def start(self, container: str) -> None:
        """Start a created container, once.

        It runs until it is removed, or `close` is called, or this process ends in whatever way: the engine
        then sees the end of a connection and the container stops by itself, within about a second.
        """

    def put(self, container: str, archive: bytes) -> None:
        """Unpack a tar archive at `/`, owners and modes as in the archive."""

    def get(self, container: str, path: str) -> Iterator[bytes]:
        """Stream a file or directory of a container, running or not, mounts too, as a tar; to be closed.

        The first part of each name is that of `path` itself: its last name, or empty. Raises NotThere where there
        is none.
        """

    def exec(
        self,
        container: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        on_output: Callable[[bytes, bool], None],
        *,
        user: str = "",
        workdir: str = "",
        stop: Callable[[], bool] | None = None,
        stdin: Iterable[bytes | memoryview] | None = None,
        tty: bool = False,
    ) -> int | None:
        """Run a program in a container and return its exit code.

        `on_output(data, is_stderr)` gets what it writes as it comes. `stop` is asked now and then
        (at least five times a second); when it says True the call returns None at once and the
        program is still running: Docker has no call to stop it, so its container must go.
        None is returned too when the container died under it.

        `stdin` is sent to the program, and then the end of its input. It is read here, in the caller's
        thread, and what it raises comes out; `on_output` and `stop` are called in another one then. Of a
        program that ends early the rest of `stdin` is not read: that is not an error.

        With `tty` the program has a terminal for input, output and errors. Its two streams are one
        then, passed on as `on_output(data, False)`, with the line ends of a terminal, CR LF. Nothing is
        typed there, so a program that reads it waits; `stdin` is not possible.
        """

    def open_shell(self, container: str) -> Shell:
        """Start a shell in a container, to be fed."""

    def state(self, container: str) -> ContainerState:
        """Inspect a container, with the size of its writable layer."""

    def commit(
        self,
        container: str,
        repository: str,
        tag: str,
        labels: Mapping[str, str],
        config: Mapping[str, object],
        comment: str,
        *,
        pause: bool,
    ) -> str:
        """Commit a container as `repository:tag` and return the image id.

        `config` is the configuration of the image it started from and is kept as it is (entrypoint,
        command, environment, user, directory); labels of ours that it carries are replaced. Commit
        and tag are one act: either both are there or none. An empty `repository` leaves it untagged.
        """

    def tag(self, image: str, name: str) -> None:
        """Point `name` (`repository:tag`) at an image."""

    def untag(self, name: str) -> None:
        """Remove a name, or an untagged image by id; none there is no error.

        The image goes with its last name unless another image grows on it.
        """

    def remove_container(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; none there is no error."""

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        """List containers, running or not, that carry all these labels (empty value: any), the newest first.

        In that order they can be removed: one whose network another has joined is the older one.
        """

    def without_volumes(self, image: str, labels: Mapping[str, str]) -> str:
        """Return the id of an image with the same layers and configuration, but without `Volumes`.

        A container of it gets no anonymous volumes, so what it writes there is in its layer. Our labels
        are replaced by `labels`, others stay. It has no name, no comment, no parent, and a history of
        one line a layer. Equal arguments give the same image. No layer moves where the engine takes a
        configuration alone; elsewhere the image is read from the engine and loaded again.
        """

    def changes(self, container: str) -> list[tuple[str, str]]:
        """List (A|C|D, path) of a container compared with its image, in no particular order.

        A is new, D is deleted. C is a file of the image that was written or whose owner, mode, time or
        attributes were set, or a directory whose mode changed or that holds a change; by Docker also one whose
        owner changed, by Podman also `/etc` where it put its own files. Not listed: a directory whose time or
        attributes alone changed, what was below a deleted directory, what is on a mount. Sockets are listed although no commit holds them. Paths are as the container
        has them, with `.wh.` names and newlines.
        """

    def missing_paths(self, image: str, paths: Sequence[str]) -> list[str]:
        """Return those of some absolute paths that are not in an image."""

    def export(self, image: str) -> Iterator[bytes]:
        """Stream an image's root file system as a tar, in chunks; a generator to be closed."""

    def save(self, images: Sequence[str]) -> Iterator[bytes]:
        """Stream images by id as an archive with each of their layers, in chunks; a generator to be closed."""

    def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a named volume unless it is there."""

    def volume_path(self, name: str) -> str:
        """Return where a volume's directory is on the engine's host. Raises NotThere."""

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        """List the names of volumes that carry these labels."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume of ours."""

    def disk_free_bytes(self) -> int | None:
        """Free bytes where the engine keeps its images, None when this host cannot see it."""

    def close(self) -> None:
        """Let go of connections; containers that were started here and not removed stop."""


class BaseProvider(Protocol):
    """Who can get a stalk's first image; `stalker.fetch` does, a test gives its own."""

    def obstacle(self, base: object) -> str:
        """Return why this base is not available here, empty when no reason is known.

        May ask a registry or look at a file; changes nothing.
        """

    def provide(self, base: object, name: str, progress: Callable[[str], None]) -> Image:
        """Get the image into the engine, tagged `name`, and return it.

        Raises InputError when what was fetched is bad; nothing bad stays in the engine or cache.
        """
