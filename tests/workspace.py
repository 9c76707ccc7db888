"""A workspace of small trees in a folder of its own, and the program run in it as a user runs it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stalker.engine.docker.adapter import DockerEngine

LIB = Path(__file__).resolve().parents[1] / "lib"
DEADLINE_S = 240


def busybox_rootfs(more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a root file system of nothing but busybox and the files of `more`, as a tar."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("busybox is not installed: apt-get install busybox-static")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "etc", "root", "tmp", "usr", "var"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, content in (
            ("bin/busybox", Path(program).read_bytes()),
            ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
            *(more or {}).items(),
        ):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(content), 0o755
            archive.addfile(file, io.BytesIO(content))
        links = {f"bin/{applet}": "busybox" for applet in {*applets, "sh"} - {"busybox"}}
        for name, target in sorted({**links, "usr/bin": "../bin"}.items()):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return buffer.getvalue()


@dataclass(frozen=True)
class Done:
    """How a call of the program ended."""

    code: int
    out: str
    err: str
    took_s: float

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` wrote."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def verdicts(self) -> dict[str, str]:
        """What the last plan said of each step."""
        return {step["step"]: step["verdict"] for step in self.of("planned")[-1]["steps"]}


@dataclass
class Workspace:
    """A folder with trees and stalks whose images are `<os>/x/y/<stalk>:<step>`, on one engine."""

    path: Path
    os: str
    base: str
    docker_host: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    """DOCKER_OPTS of each stalk."""

    def tree(self, stalks: dict[str, Any], **more: Any) -> None:
        """Write trees/t/t.hjson; a root stalk grows on the base of this workspace."""
        nodes = {name: {"base": {"tag": self.base}, **node} for name, node in stalks.items()}
        document = {
            "architecture": {"OS": self.os, "ARCH": "x", "SUBARCH": "y"},
            "paths": {"LOG_DIR": "logs"},
            **more,
            "stalks": nodes,
        }
        self.write("trees/t/t.hjson", json.dumps(document, indent=2))

    def stalk(self, name: str, steps: dict[str, str | dict[str, Any]], **more: Any) -> None:
        """Write a stalk; a step is the body of its shell script, or a whole block."""
        plugins = {
            step: {"exec": True, "text": f"#!/bin/sh\n{block}\n"} if isinstance(block, str) else block
            for step, block in steps.items()
        }
        document = {"DOCKER_OPTS": self.options, **more, "plugins": plugins}
        self.write(f"stalks/{name}/{name}.hjson", json.dumps(document, indent=2))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the workspace."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of the program: nothing of whoever runs the tests but the way to an engine."""
        names = {"PATH", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "TMPDIR"}
        inherited = {name: value for name, value in os.environ.items() if name in names}
        own = {
            "PYTHONPATH": str(LIB),
            "PYTHONUTF8": "1",
            "HOME": str(self.path / "home"),
            "XDG_CACHE_HOME": str(self.path / "cache"),
        }
        engine = {"DOCKER_HOST": self.docker_host} if self.docker_host else {}
        return {**inherited, **own, **engine, **more}

    def command(self, *arguments: str) -> list[str]:
        """Return the call of the program."""
        return [sys.executable, "-m", "stalker.cli", *arguments]

    def stalker(self, *arguments: str, **environ: str) -> Done:
        """Run the program to its end."""
        with self.start(*arguments, **environ) as running:
            return finish(running)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start the program, its output in pipes."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.path,
            env=self.environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )

    def run(self, *arguments: str, **environ: str) -> Done:
        """Run the tree for programs: one event a line."""
        return self.stalker("run", "trees/t/t.hjson", "--json", *arguments, **environ)


@contextlib.contextmanager
def space_on(engine: DockerEngine, path: Path, base: str) -> Iterator[Workspace]:
    """Give a workspace on an engine, with names nobody else has; its images are removed afterwards."""
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    try:
        yield Workspace(path, name, base, options={"network_mode": "none"})
    finally:
        tags = [tag for image in engine.labelled_images() for tag in image.tags]
        roots = {tag.rpartition(":")[0] + ":initial" for tag in tags}
        for tag in sorted({*tags, *roots}):
            if tag.startswith(f"{name}/"):
                engine.untag(tag)


def finish(running: subprocess.Popen[str], before: str = "") -> Done:
    """Wait for the end of a program; `before` was read of its output already."""
    began_s = time.monotonic()
    try:
        out, err = running.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        running.kill()
        out, err = running.communicate()
        pytest.fail(f"{running.args} did not end within {DEADLINE_S} s:\n{before}{out}\n{err}")
    return Done(running.returncode, before + out, err, time.monotonic() - began_s)


def read_until(running: subprocess.Popen[str], *needles: str) -> str:
    """Return the lines that a program wrote up to one that has all of `needles` in it."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if all(needle in line for needle in needles):
            return "".join(lines)
    _, err = running.communicate(timeout=DEADLINE_S)
    pytest.fail(f"it ended without saying {needles}:\n{''.join(lines)}\n{err}")
