"""A workspace on a real engine, with eyes: what is in an image, what is left of a run."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import subprocess
import tarfile
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from engines import remove_all_below
from stalker.model import labels
from workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.engine.interface import Container
    from stalker.model.images import Image

NUMBERS = itertools.count(1)
SESSION = f"s{uuid.uuid4().hex[:8]}"

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
}


class Entry(NamedTuple):
    """What a file system has at one path; `content` is that of a file, `link` the target of a link."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: bytes
    link: str


def listing(engine: DockerEngine, image: str) -> dict[str, Entry]:
    """Return what is in an image, by absolute path, without times and without what Docker mounts."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(image)))) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            found["/" + member.name.rstrip("/")] = Entry(
                KINDS[member.type],
                member.mode & 0o7777,
                (member.uid, member.gid),
                file.read() if file else b"",
                member.linkname,
            )
    return found


@functools.lru_cache(maxsize=4)
def _listing_of_base(engine: DockerEngine, image_id: str) -> dict[str, Entry]:
    """Return what is in a base that many tests grow on; an image of an id never changes."""
    return listing(engine, image_id)


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Call Docker's own client."""
    return subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=check,
        stdin=subprocess.DEVNULL,
    )


@dataclass
class Space(Workspace):
    """A workspace whose images are `<os>/<arch>/<subarch>/<stalk>:<step>`."""

    engine: DockerEngine = field(kw_only=True)
    arch: str = field(kw_only=True)
    subarch: str = field(kw_only=True)
    pids: set[int] = field(default_factory=set)
    """The processes of all runs that were started here."""

    @property
    def prefix(self) -> str:
        """What all image names begin with, before the stalk."""
        return f"{self.os}/{self.arch}/{self.subarch}"

    def tree(self, stalks: dict[str, Any], **more: Any) -> None:
        """Write trees/t/t.hjson; a root stalk grows on the base of this workspace; `base: None`: on none."""
        architecture = {"OS": self.os, "ARCH": self.arch, "SUBARCH": self.subarch}
        super().tree(stalks, **{"architecture": architecture, **more})
        document = json.loads((self.path / "trees/t/t.hjson").read_text())
        for node in document["stalks"].values():
            if node["base"] is None:
                del node["base"]
        self.write("trees/t/t.hjson", json.dumps(document, indent=2))

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start the program, its output in pipes."""
        running = super().start(*arguments, **environ)
        self.pids.add(running.pid)
        return running

    def plan(self, *arguments: str) -> dict[str, tuple[str, str]]:
        """Return verdict and reason of each step, as `plan --json` tells them."""
        done = self.stalker("plan", "trees/t/t.hjson", "--json", *arguments)
        assert done.out, done.err
        return {step["step"]: (step["verdict"], step["reason"]) for step in json.loads(done.out)["steps"]}

    def to_run(self, *arguments: str) -> dict[str, str]:
        """Return the reason of each step that would run."""
        return {step: reason for step, (verdict, reason) in self.plan(*arguments).items() if verdict == "RUN"}

    def name(self, reference: str) -> str:
        """Return the full image name of `stalk:step`."""
        return f"{self.prefix}/{reference}"

    def image(self, reference: str) -> Image | None:
        """Inspect the image of `stalk:step`."""
        return self.engine.image(self.name(reference))

    def id(self, reference: str) -> str:
        """Return the image id of `stalk:step`."""
        image = self.image(reference)
        assert image is not None, f"there is no {self.name(reference)}"
        return image.id

    def files(self, reference: str) -> dict[str, Entry]:
        """Return what is in the image of `stalk:step`."""
        return listing(self.engine, self.id(reference))

    def added(self, reference: str) -> dict[str, Entry]:
        """Return what an image has that the base has not, or has otherwise."""
        image = self.engine.image(self.base)
        assert image is not None
        base = _listing_of_base(self.engine, image.id)
        return {path: entry for path, entry in self.files(reference).items() if base.get(path) != entry}

    def text(self, reference: str, path: str) -> str:
        """Return the text of a file of an image."""
        return self.files(reference)[path].content.decode()

    def containers(self) -> list[Container]:
        """List the containers of all runs that were started here."""
        ours = {str(pid) for pid in self.pids}
        return [
            container
            for container in self.engine.containers({labels.RUN: ""})
            if ours.intersection(container.labels[labels.RUN].split("-")[3:4])
        ]

    def log(self, stalk: str, step: str) -> bytes:
        """Return what the last attempt of a step wrote."""
        found = sorted((self.path / "logs" / stalk).glob(f"*-{step}-2*.txt"), key=lambda f: f.stat().st_mtime)
        return found[-1].read_bytes()


@contextlib.contextmanager
def new_space(path: Path, engine: DockerEngine, busybox: str, **more: Any) -> Iterator[Space]:
    """Make a workspace, and clean up behind it."""
    space = Space(
        path,
        "stalker-test",
        busybox,
        options={"network": "none"},
        engine=engine,
        arch=SESSION,
        subarch=f"w{next(NUMBERS)}",
        **more,
    )
    try:
        yield space
    finally:
        for container in space.containers():
            engine.remove_container(container.id)
        remove_all_below(engine, f"{space.prefix}/")
