"""An engine in memory that keeps the promises of `interface.py`, for tests and benchmarks.

It counts calls, and it runs no programs: `program` says what a script would do. Files are a mapping
of absolute paths to bytes; a container's writes become part of the image that is committed from it.
An image whose paths are not absolute holds pieces of a tar, which are exported as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import re
import tarfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from stalker.engine.interface import Container, ContainerSpec, ContainerState, Engine, EngineInfo
from stalker.errors import NoEngine, NotThere
from stalker.model.images import Image
from stalker.model.labels import PREFIX
from stalker.model.platforms import parse_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


@dataclass(slots=True)
class FakeRun:
    """What one program did: its exit code (None: it never ends), its output, the files it wrote.

    With `echoes` it wrote what it was fed, before its other output.
    """

    exit_code: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    writes: dict[str, bytes] = field(default_factory=dict)
    left: int = 0
    echoes: bool = False


_Owned = tuple[int, int, int]
"""Mode, user and group of a file; 0o644 and root where nothing is known."""


@dataclass(slots=True)
class _Live:
    spec: ContainerSpec
    image: str
    writes: dict[str, bytes] = field(default_factory=dict)
    owned: dict[str, _Owned] = field(default_factory=dict)
    own_program: str = ""
    state: str = "created"
    created_s: float = field(default_factory=time.time)


_SCRIPT = re.compile(r"^exec (?:\S+ )+'?/entropy/plugins/([^'\s]+)'?$", re.MULTILINE)
_VARIABLE = re.compile(r"^_stk_set (\w+) '?(.*?)'?$", re.MULTILINE)
_NONCE = re.compile(r"^_stk_n=([0-9a-f]+)$", re.MULTILINE)
_WORKDIR = re.compile(r"^cd -- '?(.*?)'? 2>/dev/null", re.MULTILINE)
_WRITES_OWN_PROGRAM = " >/dev/.stalker/run ||"


class FakeShell:
    """A shell of the fake engine: it takes programs as its exec does."""

    def __init__(self, engine: FakeEngine, container: str) -> None:
        self._engine = engine
        self._container = container

    def run(
        self,
        program: bytes,
        on_output: Callable[[bytes, bool], None],
        has_ended: Callable[[], bool],
        stop: Callable[[], bool],
    ) -> bool:
        """Do what the program's script does, and end as the program says."""
        if self._engine.fed(self._container, program.decode("utf-8", "replace"), on_output, stop):
            assert has_ended()
            return True
        return False

    def close(self) -> None:
        """Nothing is held."""


class FakeEngine(Engine):
    """A Docker engine that is not there.

    `program(step, environment)` is asked for each script, by the name of the step; an exec of
    `sh -c TEXT NAME` is the script NAME. `is_gone` makes every
    call fail as if the engine had died.
    """

    def __init__(self, program: Callable[[str, Mapping[str, str]], FakeRun] | None = None) -> None:
        self._program = program or (lambda _step, _environment: FakeRun())
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.images_by_id: dict[str, Image] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.owned: dict[str, dict[str, _Owned]] = {}
        self.live: dict[str, _Live] = {}
        self.volumes_there: dict[str, dict[str, str]] = {}
        self.registry: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.scripts: list[str] = []
        self.is_gone = False

    def add_image(
        self,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        parent: str = "",
        comment: str = "",
        config: Mapping[str, object] | None = None,
        platform: str = "",
    ) -> Image:
        """Put an image there, as a pull or another tool would."""
        with self._lock:
            number = next(self._numbers)
            below = self.images_by_id.get(parent)
            own = parse_platform(platform or "linux/amd64")
            digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
            image = Image(
                id=digest,
                labels=dict(labels or {}),
                parent_id=parent,
                created_s=float(number),
                layers=1 + (below.layers if below else 0),
                architecture=below.architecture if below else own.architecture,
                variant=below.variant if below else own.variant,
                comment=comment,
                config={**(config or {}), "Labels": dict(labels or {})},
                os=own.os,
                diff_ids=(*(below.diff_ids if below else ()), digest),
            )
            self.images_by_id[image.id] = image
            self.files[image.id] = dict(self.files.get(parent, {}))
            self.owned[image.id] = dict(self.owned.get(parent, {}))
            if name:
                self.tag(image.id, name)
            return self.images_by_id[image.id]

    def _called(self, name: str) -> None:
        with self._lock:
            self.calls[name] += 1
        if self.is_gone:
            raise NoEngine("the engine does not answer", "fake", "start it")

    def info(self) -> EngineInfo:
        self._called("info")
        return EngineInfo("fake", "fake", "0", "memory", "linux", "x86_64", 2, 0, "", "fake:")

    def labelled_images(self) -> list[Image]:
        self._called("labelled_images")
        with self._lock:
            return [
                image
                for image in self.images_by_id.values()
                if any(label.startswith("io.stalker.") for label in image.labels)
            ]

    def image(self, name: str) -> Image | None:
        self._called("image")
        with self._lock:
            if name in self.images_by_id:
                return self.images_by_id[name]
            return next((image for image in self.images_by_id.values() if name in image.tags), None)

    def sized(self, image: str) -> Image | None:
        return self.image(image)

    def rootfs_bytes(self, image: str) -> int:
        return self._there(image).size_bytes

    def layers_max(self) -> int:
        self._called("layers_max")
        return 125

    def _there(self, name: str) -> Image:
        image = self.image(name)
        if image is None:
            raise NotThere(f"there is no image {name}")
        return image

    def registry_digest(self, name: str) -> str:
        self._called("registry_digest")
        if name not in self.registry:
            raise NotThere(f"no registry has {name}")
        return self.registry[name]

    def pull(self, name: str, platform: str, progress: Callable[[str], None]) -> Image:
        self.registry_digest(name)
        progress(f"pulled {name} {platform}".strip())
        return self.add_image(name)

    def push(self, name: str, progress: Callable[[str], None]) -> str:
        self._called("push")
        progress(f"pushed {name}")
        self.registry[name] = self._there(name).id
        return self.registry[name]

    def import_rootfs(
        self, stream: Iterable[bytes], name: str, labels: Mapping[str, str], comment: str, platform: str = ""
    ) -> Image:
        self._called("import_rootfs")
        content = b"".join(stream)
        config = {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin:/bin"]}
        image = self.add_image(name, labels, comment=comment, config=config, platform=platform)
        self.files[image.id], self.owned[image.id] = _unpacked(content)
        return image

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
        self._called("build")
        progress(f"built {dockerfile} {dict(arguments)} {platform}")
        image = self.add_image(name, labels)
        self.files[image.id], self.owned[image.id] = _unpacked(b"".join(context))
        return image

    def create(self, spec: ContainerSpec) -> str:
        self._called("create")
        image = self._there(spec.image)
        with self._lock:
            name = f"container-{next(self._numbers)}"
            self.live[name] = _Live(spec, image.id)
        return name

    def start(self, container: str) -> None:
        self._called("start")
        self._container(container).state = "running"

    def _container(self, name: str) -> _Live:
        with self._lock:
            if name not in self.live:
                raise NotThere(f"there is no container {name}")
            return self.live[name]

    def put(self, container: str, archive: bytes) -> None:
        self._called("put")
        live = self._container(container)
        files, owned = _unpacked(archive)
        # What is staged for a script is moved to its place by the script, which does not run here.
        live.writes.update({path: data for path, data in files.items() if not path.startswith("/.stalker")})
        live.owned.update({path: owner for path, owner in owned.items() if path in live.writes})

    def get(self, container: str, path: str) -> Iterator[bytes]:
        self._called("get")
        live = self._container(container)
        files = self.files[live.image] | live.writes
        owned = self.owned[live.image] | live.owned
        above = path.rstrip("/").rpartition("/")[0]
        found = {name: data for name, data in files.items() if f"{name}/".startswith(f"{path.rstrip('/')}/")}
        if not found:
            raise NotThere(f"there is no {path} in {container}")
        names = {name: name.removeprefix(above) for name in found}
        packed = {names[name]: data for name, data in found.items()}
        yield _packed(packed, {names[name]: owned[name] for name in found if name in owned})

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
        assert not tty or stdin is None
        self._called("exec")
        live = self._container(container)
        fed = b"".join(stdin or ())
        if _NONCE.search(fed.decode("utf-8", "replace")):
            self.fed(container, fed.decode("utf-8", "replace"), on_output, stop or (lambda: False))
            return 0
        around = {"user": user, "workdir": workdir, **({"tty": "1"} if tty else {})}
        if tuple(argv) == ("/bin/sh", "/dev/.stalker/run"):
            ran = self._ran(container, live.own_program, around)
            end = _mark(live.own_program, "end")
            mark = _mark(live.own_program, f"exit:{ran.exit_code}") + end
        elif len(argv) == 4:
            ran, mark, end = self._does(container, argv[3], {**environment, **around}), b"", b""
        else:
            return 0
        if ran.echoes and fed:
            on_output(fed, False)
        if written := ran.stdout + (end if ran.exit_code is not None else b""):
            on_output(_on_terminal(written) if tty else written, False)
        if ran.exit_code is None:
            self._waited(container, stop)
            return None
        if errors := ran.stderr + mark:
            on_output(_on_terminal(errors) if tty else errors, not tty)
        return ran.exit_code

    def fed(
        self,
        container: str,
        program: str,
        on_output: Callable[[bytes, bool], None],
        stop: Callable[[], bool],
    ) -> bool:
        """Do what a program for a shell says; False when it never ends."""
        live = self._container(container)
        code, left = 0, 0
        calls = program[program.rindex("\n_stk_n=") :]  # the library may be before them
        if _WRITES_OWN_PROGRAM in program:
            live.own_program = program
        elif _SCRIPT.search(program):
            ran = self._ran(container, program, {})
            if ran.stdout:
                on_output(ran.stdout, False)
            if ran.exit_code is None:
                self._waited(container, stop)
                return False
            on_output(ran.stderr, True)
            code, left = ran.exit_code, ran.left
        if "\n_stk_drops" in calls:
            on_output(_mark(program, "exit:1"), True)
        if "\n_stk_done" in calls:
            on_output(_mark(program, f"done:{code}:{left}:1"), True)
        for is_stderr in (False, True):
            on_output(_mark(program, "end"), is_stderr)
        return True

    def _ran(self, container: str, program: str, around: Mapping[str, str]) -> FakeRun:
        """Do what the script does that a program for a shell runs."""
        script, workdir = _SCRIPT.search(program), _WORKDIR.search(program)
        assert script is not None
        given = {"user": "0", **dict(_VARIABLE.findall(program)), **around}
        return self._does(
            container, script.group(1), {**given, "workdir": workdir.group(1) if workdir else ""}
        )

    def _does(self, container: str, name: str, environment: Mapping[str, str]) -> FakeRun:
        with self._lock:
            self.scripts.append(name)
        ran = self._program(name, environment)
        self._container(container).writes.update(ran.writes)
        return ran

    def _waited(self, container: str, stop: Callable[[], bool] | None) -> None:
        while (stop is None or not stop()) and container in self.live:
            threading.Event().wait(0.005)

    def open_shell(self, container: str) -> FakeShell:
        self._called("open_shell")
        self._container(container)
        return FakeShell(self, container)

    def state(self, container: str) -> ContainerState:
        self._called("state")
        live = self._container(container)
        size = sum(len(content) for content in live.writes.values())
        return ContainerState(live.state == "running", size, "10.0.0.2")

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
        self._called("commit_paused" if pause else "commit")
        live = self._container(container)
        old = config.get("Labels")
        # The engine adds a container's labels to those that a commit names.
        made = {**live.spec.labels, **(old if isinstance(old, dict) else {}), **labels}
        image = self.add_image("", made, live.image, comment, config)
        self.files[image.id].update(live.writes)
        self.owned[image.id].update(live.owned)
        if repository:
            self.tag(image.id, f"{repository}:{tag}")
        return image.id

    def without_volumes(self, image: str, labels: Mapping[str, str]) -> str:
        self._called("without_volumes")
        with self._lock:
            found = self._there(image)
            kept = {name: value for name, value in found.labels.items() if not name.startswith(PREFIX)}
            now = {**kept, **labels}
            config = {name: value for name, value in found.config.items() if name != "Volumes"}
            config["Labels"] = now
            digest = hashlib.sha256(f"{found.id} {sorted(now.items())}".encode()).hexdigest()
            made = replace(
                found, id=f"sha256:{digest}", tags=(), labels=now, parent_id="", comment="", config=config
            )
            self.images_by_id.setdefault(made.id, made)
            self.files[made.id], self.owned[made.id] = self.files[found.id], self.owned[found.id]
            return made.id

    def tag(self, image: str, name: str) -> None:
        self._called("tag")
        with self._lock:
            wanted = self._there(image)
            for other in list(self.images_by_id.values()):
                if name in other.tags:
                    tags = tuple(tag for tag in other.tags if tag != name)
                    self.images_by_id[other.id] = replace(other, tags=tags)
            wanted = self.images_by_id[wanted.id]
            self.images_by_id[wanted.id] = replace(wanted, tags=(*wanted.tags, name))

    def untag(self, name: str) -> None:
        self._called("untag")
        with self._lock:
            image = self.image(name)
            if image is None:
                return
            tags = tuple(tag for tag in image.tags if tag != name)
            self.images_by_id[image.id] = replace(image, tags=tags)
            has_children = any(other.parent_id == image.id for other in self.images_by_id.values())
            if not tags and not has_children:
                del self.images_by_id[image.id]

    def missing_paths(self, image: str, paths: Sequence[str]) -> list[str]:
        self._called("missing_paths")
        files = self.files[self._there(image).id]
        there = {
            path[:end]
            for path in files
            for end in range(1, len(path) + 1)
            if path[end : end + 1] in {"", "/"}
        }
        return [path for path in paths if path not in there]

    def export(self, image: str) -> Iterator[bytes]:
        self._called("export")
        found = self._there(image).id
        files = self.files[found]
        yield from [_packed(files, self.owned[found])] if all(map(_is_path, files)) else files.values()

    def save(self, images: Sequence[str]) -> Iterator[bytes]:
        self._called("save")
        found = [self._there(image).id for image in images]
        layers = {
            f"{one.removeprefix('sha256:')}/layer.tar": _packed(self.files[one], self.owned[one])
            for one in found
        }
        yield _packed(layers, {})

    def remove_container(self, container: str) -> None:
        self._called("remove_container")
        with self._lock:
            self.live.pop(container, None)

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        self._called("containers")
        with self._lock:
            return [
                Container(
                    name,
                    live.spec.name,
                    live.image,
                    live.state,
                    live.spec.labels,
                    live.created_s,
                )
                for name, live in self.live.items()
                if all(
                    key in live.spec.labels and value in {"", live.spec.labels[key]}
                    for key, value in labels.items()
                )
            ]

    def changes(self, container: str) -> list[tuple[str, str]]:
        self._called("changes")
        live = self._container(container)
        return [("C" if path in self.files[live.image] else "A", path) for path in sorted(live.writes)]

    def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self._called("ensure_volume")
        self.volumes_there.setdefault(name, dict(labels))

    def volume_path(self, name: str) -> str:
        self._called("volume_path")
        if name not in self.volumes_there:
            raise NotThere(f"there is no volume {name}")
        return f"/volumes/{name}"

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        self._called("volumes")
        return [
            name
            for name, own in self.volumes_there.items()
            if all(key in own and value in {"", own[key]} for key, value in labels.items())
        ]

    def remove_volume(self, name: str) -> None:
        self._called("remove_volume")
        if self.volumes_there.pop(name, None) is None:
            raise NotThere(f"there is no volume {name}")

    def disk_free_bytes(self) -> int | None:
        self._called("disk_free_bytes")
        return None

    def close(self) -> None:
        self._called("close")
        for live in self.live.values():
            live.state = "exited" if live.state == "running" else live.state


def _mark(program: str, text: str) -> bytes:
    nonces = _NONCE.findall(program)
    return f"\x01stalker:{nonces[-1]}:{text}\x01".encode()


def _on_terminal(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _is_path(name: str) -> bool:
    return name.startswith("/")


def _unpacked(archive: bytes) -> tuple[dict[str, bytes], dict[str, _Owned]]:
    """Return the files of a tar by absolute path, and whose they are; nothing for what is not a tar."""
    files: dict[str, bytes] = {}
    owned: dict[str, _Owned] = {}
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(archive)) as found:
        for member in found:
            data = found.extractfile(member) if member.isreg() else None
            if data is not None:
                path = f"/{member.name.removeprefix('./').strip('/')}"
                files[path] = data.read()
                owned[path] = (member.mode, member.uid, member.gid)
    return files, owned


def _packed(files: Mapping[str, bytes], owned: Mapping[str, _Owned]) -> bytes:
    """Return files as a tar, with the directories above them, as an engine does."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        seen: set[str] = set()
        for path, data in sorted(files.items()):
            name = path.lstrip("/")
            for above in reversed(PurePosixPath(name).parents):
                if above.name and str(above) not in seen:
                    seen.add(str(above))
                    folder = tarfile.TarInfo(str(above))
                    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(folder)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode, entry.uid, entry.gid = owned.get(path, (0o644, 0, 0))
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
