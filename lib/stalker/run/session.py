"""One live container in which steps of a stalk run in a row.

A session serves the next step when nothing but its idle process is left running, nothing outside of its
layer differs from what it was at the start, its layer has nothing that a commit drops, its mounts, what they
show and options are the same, and its writable layer is small: a commit takes the whole layer, so each later
image holds again what earlier steps wrote. Else the next step gets a fresh container from the last
commit. Both ways give the same files.

Half of what a fresh container costs is its network. So the first container of a stalk stays up, idle,
until the stalk ends, and the later ones join its network, where nothing was asked of the network that
they would not share.
"""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.engine.docker.container_options import mount_points, tmpfs_points
from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError, EngineFull, NoEngine, StalkerError
from stalker.model import labels
from stalker.plan.layers import ASK_FROM
from stalker.run.mounts import folders_of_mounts, image_without_volumes, sources_now
from stalker.run.script.mounted_files import mounts_of_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.engine.interface import Engine, Shell
    from stalker.model.images import Image
    from stalker.run.job import Job
    from stalker.run.script.payload import Placed

WRITABLE_MAX_BYTES = 2 << 20
"""A fresh container costs about 0.2 s; writing 2 MB again costs 10 ms and the space."""

AGAIN_MAX = 0.2
"""How much of what a stalk has written may be stored again, to save a fresh container now and then."""

OF_NETWORK = {
    "network_mode",
    "hostname",
    "domainname",
    "dns",
    "dns_search",
    "dns_opt",
    "extra_hosts",
    "cap_add",
    "privileged",
    "sysctls",
    "uts_mode",
    "userns_mode",
    "runtime",
}
"""Options with which each container gets a network of its own: it is not as the first one's, or a step
could have changed it."""

OWN_STATE = {"cap_add", "ipc_mode", "pid_mode", "privileged", "runtime", "security_opt"}
"""Options with which a script can change what no look from inside finds: rules of the network, modules."""

LAYERS_LEFT = 25
"""Near the engine's limit of layers a session is kept however much it wrote."""


@dataclass(slots=True)
class Session:
    """A running container: what it started from and what was committed from it last.

    `stubs` are the directories that the engine made in it for mounts; those that a script changed are
    `kept_stubs`. `sources` are the directories of this host that its mounts show.
    """

    container: str
    name: str
    spec: ContainerSpec
    start: Image
    image: str
    shell: Shell | None = None
    writable_bytes: int = 0
    stubs: tuple[str, ...] = ()
    kept_stubs: set[str] = field(default_factory=set)
    sources: list[tuple[int, int] | None] = field(default_factory=list)

    @property
    def tmpfs(self) -> tuple[str, ...]:
        """The file systems in memory that the container has besides those of each container."""
        return tmpfs_points(self.spec)

    @property
    def watched_stubs(self) -> tuple[str, ...]:
        """Directories above mount points that go at a commit unless the script changes them."""
        points = set(mount_points(self.spec))
        return tuple(stub for stub in self.stubs if stub not in points and stub not in self.kept_stubs)

    @property
    def stubs_to_sweep(self) -> list[str]:
        """Directories that are there for mounts alone."""
        return [stub for stub in self.stubs if stub not in self.kept_stubs]

    def end_shell(self) -> None:
        """Let go of the shell that is fed."""
        if self.shell is not None:
            self.shell.close()
            self.shell = None


@dataclass(slots=True)
class Service:
    """A daemonized step that is up: its container and address."""

    name: str
    container: str
    address: str


@dataclass(slots=True)
class Written:
    """Bytes that the steps of a stalk have written, and how many of them were stored again."""

    total: int = 0
    again: int = 0


@dataclass(slots=True)
class Sessions:
    """All live containers of a run: at most one session a stalk, and its services.

    Containers are removed in the background, off the way of the next step; `close` waits for that.
    """

    engine: Engine
    run: str
    _open: dict[str, Session] = field(default_factory=dict)
    _services: dict[str, list[Service]] = field(default_factory=dict)
    _networks: dict[str, str] = field(default_factory=dict)
    _written: dict[str, Written] = field(default_factory=dict)
    _missing: dict[tuple[str, tuple[str, ...]], list[str]] = field(default_factory=dict)
    _containers: set[str] = field(default_factory=set)
    _volumes: dict[str, str] = field(default_factory=dict)
    """Volumes with mounted files, each with its container."""
    _bare_images: set[str] = field(default_factory=set)
    _removals: list[Future[None]] = field(default_factory=list)
    _remover: ThreadPoolExecutor | None = None

    def take(self, job: Job) -> tuple[Session, bool]:
        """Return a session that is at the job's image, and whether it is a used one."""
        stalk = job.step.stalk
        spec = self.spec(job)
        session = self._open.pop(stalk, None)
        if session is not None:
            if self._serves(session, job, spec):
                return session, True
            self.drop(session)
        return self.fresh(job), False

    def fresh(self, job: Job, files: Sequence[Placed] = ()) -> Session:
        """Start a new container from the job's image, with some files mounted at their targets."""
        spec = self.spec(job)
        start = self.engine.image(job.image)
        if start is None:
            raise EngineError(
                f"the image that {job.step.id} starts from is gone ({job.image})",
                "it was removed while the run was under way",
                "run again: what is missing is made again",
            )
        if start.layers >= ASK_FROM and start.layers >= self.engine.layers_max() - 1:
            raise EngineError(
                f"{job.step.id} would start from an image of {start.layers} layers",
                f"the engine takes {self.engine.layers_max()}",
                "begin a new root with `export` and a tarball base, or put steps together",
            )
        bare = image_without_volumes(self.engine, start, self.run)
        if bare != start.id:
            self._bare_images.add(bare)
            spec = replace(spec, image=bare)
        sources = sources_now(spec.mounts, job.workspace)
        volume = ""
        if files:
            volume, mounts = mounts_of_files(self.engine, start.id, files, self.run)
            self._volumes[volume] = ""
            spec = replace(spec, mounts=(*spec.mounts, *mounts))
        try:
            container = self._started(spec)
        except EngineError as error:
            if not spec.network_of or isinstance(error, NoEngine | EngineFull):
                raise
            # The container whose network it was to join is gone: it gets one of its own.
            self._networks.pop(job.step.stalk, None)
            spec = replace(spec, network_of="")
            container = self._started(spec)
        if volume:
            self._volumes[volume] = container
        folders = tuple(folders_of_mounts(mount_points(spec)))
        stubs = self.missing_paths(start.id, folders) if folders else []
        return Session(container, spec.name, spec, start, job.image, stubs=tuple(stubs), sources=sources)

    def _started(self, spec: ContainerSpec) -> str:
        container = self.engine.create(spec)
        self._containers.add(container)
        try:
            self.engine.start(container)
        except StalkerError as error:
            self._remove(container)  # now: its name is free again
            if "/bin/sh" in error.details and "no such file" in error.details:
                raise EngineError(
                    "the image has no /bin/sh, and a step is run by one",
                    error.details,
                    "put a shell into the base (busybox-static is enough)",
                ) from error
            raise
        return container

    def spec(self, job: Job) -> ContainerSpec:
        """Return how a container for this job is started."""
        step = job.step
        own_network = any(option.name in OF_NETWORK for option in step.options)
        joins = not own_network and not step.daemonize and step.stalk not in self._services
        hosts = tuple((service.name, service.address) for service in self._services.get(step.stalk, ()))
        return ContainerSpec(
            image=job.image,
            name=f"stalker-{step.stalk}-{secrets.token_hex(6)}",
            labels={labels.RUN: self.run, labels.VERSION: labels.CONTAINER},
            mounts=step.mounts,
            options=step.options,
            platform=step.platform,
            hosts=hosts,
            workspace=job.workspace,
            network_of=self._networks.get(step.stalk, "") if joins else "",
        )

    def _serves(self, session: Session, job: Job, spec: ContainerSpec) -> bool:
        old = session.spec
        same = (old.mounts, old.options, old.platform, old.hosts) == (
            spec.mounts,
            spec.options,
            spec.platform,
            spec.hosts,
        )
        has_own = any(option.name in OWN_STATE for option in spec.options)
        # A container goes on showing a directory that was replaced by another one.
        shows = same and session.sources == sources_now(spec.mounts, job.workspace)
        return shows and session.image == job.image and not job.step.daemonize and not has_own

    def keep(self, session: Session, stalk: str, image: str, *, left: int, writable_bytes: int) -> bool:
        """Keep a session for the stalk's next step, if it may serve; else let it go. Return whether it may.

        `writable_bytes` is the whole of its layer, what earlier steps wrote included.
        """
        written = self._written.setdefault(stalk, Written())
        written.total += max(writable_bytes - session.writable_bytes, 0)
        written.again += session.writable_bytes
        session.image, session.writable_bytes = image, writable_bytes
        may_be_stored_again = written.again + writable_bytes <= AGAIN_MAX * written.total
        layers = session.start.layers
        is_near = layers >= ASK_FROM - LAYERS_LEFT and layers >= self.engine.layers_max() - LAYERS_LEFT
        is_small = writable_bytes <= WRITABLE_MAX_BYTES or is_near
        if left == 0 and (is_small or may_be_stored_again):
            self._open[stalk] = session
            return True
        if left == 0 and stalk not in self._networks:
            self._networks[stalk] = session.container
            session.end_shell()
        else:
            self.drop(session)
        return False

    def retire(self, stalk: str) -> None:
        """Let a stalk's session serve no other step."""
        session = self._open.pop(stalk)
        if stalk in self._networks:
            self.drop(session)
        else:
            self._networks[stalk] = session.container
            session.end_shell()

    def discard(self, session: Session, stalk: str) -> None:
        """Remove a session's container, and the one whose network it joined: it has Docker's files of that."""
        self.drop(session)
        if session.spec.network_of and self._networks.get(stalk) == session.spec.network_of:
            self.remove(self._networks.pop(stalk))

    def missing_paths(self, image: str, paths: tuple[str, ...]) -> list[str]:
        """Return those of some paths that an image lacks; the engine is asked once."""
        if (image, paths) not in self._missing:
            self._missing[image, paths] = self.engine.missing_paths(image, paths)
        return self._missing[image, paths]

    def serve(self, session: Session, stalk: str, name: str) -> Service:
        """Leave a daemonized step's container up until its stalk ends."""
        address = self.engine.state(session.container).address or "127.0.0.1"
        service = Service(name, session.container, address)
        self._services.setdefault(stalk, []).append(service)
        return service

    def drop(self, session: Session) -> None:
        """Remove a session's container in the background."""
        session.end_shell()
        self.remove(session.container)

    def remove(self, container: str) -> None:
        """Remove a container in the background."""
        if self._remover is None:
            self._remover = ThreadPoolExecutor(2, thread_name_prefix="stalker-remove")
        self._removals.append(self._remover.submit(self._remove, container))

    def _remove(self, container: str) -> None:
        self.engine.remove_container(container)
        self._containers.discard(container)
        for volume in [name for name, user in list(self._volumes.items()) if user == container]:
            self.engine.remove_volume(volume)
            del self._volumes[volume]

    def end_stalk(self, stalk: str) -> None:
        """Remove what is up for a stalk: nothing of it runs any more."""
        session = self._open.pop(stalk, None)
        if session is not None:
            self.drop(session)
        for service in self._services.pop(stalk, ()):
            self.remove(service.container)
        if stalk in self._networks:
            self.remove(self._networks.pop(stalk))

    def settle(self) -> None:
        """Wait until the containers that were dropped are gone. Raises the first engine error."""
        for removal in list(self._removals):
            removal.result()

    def remove_at_once(self) -> None:
        """Remove all containers now; used when the user will not wait."""
        for container in list(self._containers):
            try:
                self._remove(container)
            except StalkerError:
                continue

    def close(self) -> None:
        """Remove every container of the run and wait for it. Raises the first engine error."""
        for stalk in {*self._open, *self._services, *self._networks}:
            self.end_stalk(stalk)
        if self._remover is not None:
            self._remover.shutdown(wait=True)
        for removal in self._removals:
            removal.result()
        for container in list(self._containers):  # that was not cleaned up: something failed half-way
            self._remove(container)
        for volume in list(self._volumes):  # whose container never started
            self.engine.remove_volume(volume)
        for image in self._bare_images:
            with contextlib.suppress(EngineError):  # an image of a step grows on it
                self.engine.untag(image)
