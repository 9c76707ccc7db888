"""Two worlds that the promises of `engine/interface.py` are asked in: the fake and a real engine."""

from __future__ import annotations

import contextlib
import io
import tarfile
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from build import step
from engines import remove_all_below, rootfs
from further_engines import NAMES, new_base
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.engine.interface import ContainerSpec
from stalker.model import labels
from stalker.run.script.payload import Start, make_payload
from stalker.run.script.shell_library import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stalker.engine.interface import Engine
    from stalker.run.script.payload import Payload


@dataclass
class Heard:
    """What came out of a program."""

    code: int | None = None
    out: bytes = b""
    err: bytes = b""

    def take(self, data: bytes, is_stderr: bool) -> None:
        if is_stderr:
            self.err += data
        else:
            self.out += data


@dataclass
class World:
    """An engine with one image in it, `base`, and names that nobody else has."""

    engine: Engine
    base: str
    prefix: str
    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    @property
    def adds_to_env(self) -> tuple[str, ...]:
        """What the engine adds to the environment of what it commits."""
        profile = getattr(self.engine, "profile", None)
        return ("container=podman",) if profile is not None and profile.kind == "Podman" else ()

    def name(self, tag: str = "1") -> str:
        return f"{self.prefix}/{uuid.uuid4().hex[:8]}:{tag}"

    def container(self, image: str = "", *, start: bool = True, **more: Any) -> str:
        """Create a container that goes with the test, and start it."""
        given = {"labels": {labels.RUN: "contract"}, **more}
        spec = ContainerSpec(image or self.base, f"contract-{uuid.uuid4().hex[:8]}", **given)
        made = self.engine.create(spec)
        self.containers.append(made)
        if start:
            self.engine.start(made)
        return made

    @contextlib.contextmanager
    def another_client(self) -> Iterator[Engine]:
        """Give an engine object of its own to the same engine, and close it."""
        with contextlib.closing(DockerEngine(self.engine.address)) as client:
            yield client

    def payload(self, script: str, does: FakeRun) -> Payload:
        """Return what runs a script; a fake engine is told what it does."""
        return make_payload(step(self.named(does), script), {}, uuid.uuid4().hex[:16], Start({}))

    def named(self, does: FakeRun) -> str:
        """Return the name of a new script; a fake engine is told what it does."""
        name = f"n{uuid.uuid4().hex[:8]}"
        self.learn(name, does)
        return name

    def learn(self, name: str, does: FakeRun) -> None:
        """Tell a fake engine what a script does."""

    def exec(
        self,
        container: str,
        script: str,
        does: FakeRun,
        environment: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Heard:
        """Run a script in a container."""
        heard = Heard()
        argv = ("/bin/sh", "-c", script, self.named(does))
        heard.code = self.engine.exec(container, argv, environment or {}, heard.take, **more)
        return heard

    def write(self, container: str, path: str, content: str) -> None:
        """Write a file from within a container."""
        does = FakeRun(writes={path: content.encode()})
        assert self.exec(container, f"printf '{content}' >{path}\n", does).code == 0

    def commit(self, container: str, name: str = "", made: Mapping[str, str] | None = None) -> str:
        """Commit a container as a step would."""
        repository, _, tag = name.rpartition(":")
        config = self.engine.image(self.base).config
        return self.engine.commit(container, repository, tag, made or {}, config, "contract", pause=False)

    def feed(self, payload: Payload) -> bytes:
        return (LIBRARY + payload.whole).encode()


@dataclass
class FakeWorld(World):
    """The fake, which is told what each script does."""

    scripts: dict[str, FakeRun] = field(default_factory=dict)

    def learn(self, name: str, does: FakeRun) -> None:
        self.scripts[name] = does

    @contextlib.contextmanager
    def another_client(self) -> Iterator[Engine]:
        """There is one client of a fake, and it goes on after `close`."""
        with contextlib.closing(self.engine) as client:
            yield client


REAL = [pytest.param(name, marks=pytest.mark.docker) for name in ("docker", *NAMES)]
"""The engine of this host and the further ones."""


def engine_and_base(request: pytest.FixtureRequest, name: str) -> tuple[DockerEngine, str]:
    """Return a real engine by its name, and an image of nothing but busybox in it."""
    if name == "docker":
        return request.getfixturevalue("engine"), request.getfixturevalue("busybox")
    engine = request.getfixturevalue("further_of")(name)
    if engine not in _BASES:
        _BASES[engine] = new_base(engine, rootfs())
    return engine, _BASES[engine]


_BASES: dict[DockerEngine, str] = {}


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> tuple[DockerEngine, str]:
    """A real engine and a base in it."""
    return engine_and_base(request, request.param)


@pytest.fixture(params=["fake", *REAL])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The fake always, real engines where there are any: they cannot part."""
    prefix = f"stalker-test/contract-{uuid.uuid4().hex[:8]}"
    if request.param == "fake":
        made = FakeWorld(FakeEngine(lambda name, environment: told(made, name, environment)), "", prefix)
        made.base = f"{prefix}/base:1"
        made.engine.import_rootfs([one_file("etc/passwd", b"root:x:0:0\n")], made.base, {}, "")
        yield made
        return
    engine, base = engine_and_base(request, request.param)
    made = World(engine, base, prefix)
    try:
        yield made
    finally:
        for container in made.containers:
            engine.remove_container(container)
        for volume in made.volumes:
            with contextlib.suppress(Exception):
                engine.remove_volume(volume)
        remove_all_below(engine, prefix)


def told(world: FakeWorld, name: str, environment: Mapping[str, str]) -> FakeRun:
    """Return what a script does; `@NAME` in its output is the value of a variable."""
    does = world.scripts[name]
    out = does.stdout
    for key, value in environment.items():
        out = out.replace(b"@" + key.encode(), value.encode())
    return replace(does, stdout=out)


def one_file(name: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> bytes:
    """Return a tar with one file in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, (entry.uid, entry.gid) = len(content), mode, owner
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
