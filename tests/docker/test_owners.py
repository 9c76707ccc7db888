"""Runs that share an engine's socket and see neither each other's processes nor files: jobs of a CI."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines import remove_names
from run_space import Space, docker
from stalker.model import labels
from workspace import LIB, finish, read_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"
WAIT = "echo now; until [ -e /gate/go ]; do sleep 0.1; done"
SOCKET = "/var/run/docker.sock"
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
OF_HOST = ("etc/machine-id", "etc/ld.so.cache", "etc/passwd")
"""With the same machine-id, and in the host's network with the same host name, two jobs look like one host."""


def job_rootfs() -> bytes:
    """Return a root file system for what is mounted into it: the programs and libraries of this host."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("usr", "etc", "tmp", "root", "run"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name in MERGED:
            here = Path("/", name)
            if here.is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, str(here.readlink()).lstrip("/")
                archive.addfile(link)
        for name in OF_HOST:
            with contextlib.suppress(FileNotFoundError):
                file = tarfile.TarInfo(name)
                content = Path("/", name).read_bytes()
                file.size, file.mode = len(content), 0o644
                archive.addfile(file, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def job_image(engine) -> Iterator[str]:
    """Give an image that jobs run in."""
    if engine.address.url != f"unix://{SOCKET}" and not Path(SOCKET).is_socket():
        pytest.skip("the engine does not listen on a socket that a container can be given")
    name = f"stalker-test/job:{uuid.uuid4().hex[:8]}"
    engine.import_rootfs([job_rootfs()], name, {}, "a job of a CI, for tests")
    try:
        yield name
    finally:
        remove_names(engine, [name])


@dataclass
class Job:
    """A container in which the program runs as its first process, with a workspace of its own."""

    space: Space
    image: str
    network: str
    name: str
    run_id: str = ""

    @contextlib.contextmanager
    def run(self) -> Iterator[subprocess.Popen[str]]:
        """Run the tree of the workspace; what is left of the job goes at the end."""
        folders = {"/usr", *(f"/{name}" for name in MERGED if Path("/", name).is_dir())}
        folders = {folder for folder in folders if not Path(folder).is_symlink()}
        folders |= {sys.base_prefix, str(LIB.parent)}
        mounts = [f"--volume={folder}:{folder}:ro" for folder in sorted(folders)]
        mounts += [f"--volume={self.space.path}:{self.space.path}", f"--volume={SOCKET}:{SOCKET}"]
        environ = {**self.space.environ(), "PATH": os.environ["PATH"]}
        environ.pop("TMPDIR", None)
        options = [f"--env={name}={value}" for name, value in environ.items()]
        program = [sys.executable, "-m", "stalker.cli", "run", TREE, "--json"]
        argv = ["docker", "run", "--rm", f"--name={self.name}", f"--network={self.network}"]
        argv += [f"--workdir={self.space.path}"]
        running = subprocess.Popen(
            [*argv, *mounts, *options, self.image, *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield running
        finally:
            self.kill()
            running.communicate()

    def asleep(self, running: subprocess.Popen[str]) -> str:
        """Return what a run said until its step waits."""
        said = read_until(running, "step_output", "now")
        self.run_id = run_of(said)
        return said

    def kill(self) -> None:
        """End the program as by `kill -9`."""
        docker("kill", "--signal=KILL", self.name, check=False)


@pytest.fixture
def jobs(request, tmp_path, engine, busybox, workspace, job_image) -> Iterator[tuple[Job, Job]]:
    """Two jobs of one image whose steps wait for a file of their workspace."""
    made = []
    with contextlib.ExitStack() as stack:
        for number in ("first", "second"):
            space = Space(
                tmp_path / number,
                workspace.os,
                busybox,
                options={"network": "none"},
                engine=engine,
                arch=workspace.arch,
                subarch=f"{workspace.subarch}-{number}",
            )
            write_slow(space)
            made.append(Job(space, job_image, request.param, f"stalker-test-job-{uuid.uuid4().hex[:8]}"))
            stack.callback(remove_containers, engine, made[-1])
        yield made[0], made[1]


def write_slow(space: Space) -> None:
    """Write a tree whose first step says `now` and waits for `go`; its work is that of no other."""
    (space.path / "gate").mkdir(parents=True)
    space.tree({"s": {}})
    gate = {"path": "gate", "bind": "/gate", "mode": "rw"}
    slow = f"# {uuid.uuid4()}\n{WAIT}"
    space.stalk("s", {"gate": gate, "slow": slow, "b": "true"})


def remove_containers(engine, job: Job) -> None:
    for container in containers_of(engine, job.run_id) if job.run_id else ():
        engine.remove_container(container.id)


def run_of(said: str) -> str:
    return json.loads(said.splitlines()[0])["run"]


def containers_of(engine, run: str):
    return engine.containers({labels.RUN: run, labels.VERSION: labels.CONTAINER})


def notes(done) -> list[str]:
    return [note["text"] for note in done.of("note")]


def go(space: Space) -> None:
    """Let the step that waits end."""
    space.write("gate/go", "")


@pytest.mark.parametrize("jobs", ["none", "host"], indirect=True)
def test_a_job_does_not_take_the_containers_of_another_one(engine, workspace, jobs):
    """Two jobs of one image, also in the host's network: each sees process numbers that mean nothing to it.

    One is killed (-9): what it leaves goes with the next run anywhere, and the other one works on.
    """
    first, second = jobs
    with first.run() as one, second.run() as two:
        began, other = first.asleep(one), second.asleep(two)
        left = containers_of(engine, run_of(began))
        (kept,) = containers_of(engine, run_of(other))
        first.kill()
        one.wait(60)
        docker("wait", *[container.id for container in left])
        workspace.tree({"s": {}})
        workspace.stalk("s", {"a": "true"})
        done = workspace.run()
        are_up = [container.state for container in containers_of(engine, run_of(other))]
        go(second.space)
        ended = finish(two, other)

    assert [container.state for container in left] == ["running"]
    assert done.code == 0, done.err
    # By this run, or by one of another test at the same moment: any may do it.
    assert containers_of(engine, run_of(began)) == []
    assert are_up == ["running"]
    assert not [note for note in notes(done) if kept.name in note]
    assert ended.code == 0, ended.err
    assert containers_of(engine, run_of(other)) == []


@pytest.mark.parametrize("jobs", ["none", "host"], indirect=True)
def test_a_run_within_a_job_leaves_the_runs_of_the_host_alone(engine, workspace, jobs):
    """And of the other job; all of them end well."""
    first, second = jobs
    write_slow(workspace)
    with workspace.start("run", TREE, "--json") as running, first.run() as one:
        of_host = read_until(running, "step_output", "now")
        of_first = first.asleep(one)
        go(second.space)
        with second.run() as two:
            done = finish(two)
        go(first.space)
        go(workspace)
        ended, host = finish(one, of_first), finish(running, of_host)

    assert [job.code for job in (done, ended, host)] == [0, 0, 0], (done.err, ended.err, host.err)
    assert not [note for note in notes(done) if run_of(of_host) in note or run_of(of_first) in note]
