"""A dockerd for tests to fill, kill and restart, beside the host's engine, which sees nothing of it.

It has namespaces of its own for mounts, processes and network, and its images lie on a small file
system in a file. All of it hangs on one process: when that ends, be it by `close` or because the
tests were killed, the kernel ends dockerd with its containers and unmounts everything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from engines import START_S, wait_until_up
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.docker.http import Address
from stalker.errors import EngineError

DISK_BYTES = 600 << 20
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

SET_UP = """
set -e
mount --make-rprivate /
for folder in /run /etc/docker; do mkdir -p $folder; mount -t tmpfs none $folder; done
# Where there are no loop devices, a file system in memory is as small.
mount -o loop "$FOLDER/disk" "$FOLDER/root" || mount -t tmpfs -o "size=$DISK_BYTES" none "$FOLDER/root"
ip link set lo up
sleep infinity &
echo ready
wait
"""


class SecondEngine:
    """A dockerd of our own; `url` is where it listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.log = folder / "log"
        self._dockerd: subprocess.Popen[bytes] | None = None
        (folder / "root").mkdir()
        with (folder / "disk").open("wb") as disk:
            disk.truncate(DISK_BYTES)
        make = ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", str(folder / "disk")]
        subprocess.run(make, check=True, env={"PATH": PATH})
        unshare = ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"]
        self._init = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *unshare, "sh", "-c", SET_UP],
            env={"PATH": PATH, "FOLDER": str(folder), "DISK_BYTES": str(DISK_BYTES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._init.stdout
        if self._init.stdout.readline() != b"ready\n":
            _, said = self._init.communicate(timeout=START_S)
            pytest.fail(f"no namespaces for a second engine: {said.decode()}")

    def start(self, *options: str, listen: socket.socket | None = None) -> None:
        """Start dockerd and wait till it answers; `listen` is a socket of the host that it serves too."""
        # dockerd takes a socket as systemd gives it: descriptor 3, and its own pid in the environment.
        take = "LISTEN_FDS=1 LISTEN_PID=$$ " if listen else ""
        more = ["-H", "fd://", *options] if listen else options
        dockerd = [
            *("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", self.url),
            *("--data-root", f"{self.folder}/root/docker", "--exec-root", f"{self.folder}/exec"),
            *("--pidfile", f"{self.folder}/pid", *more),
        ]
        inside = self._inside("sh", "-c", f'{take}exec "$@"', "sh", *dockerd)
        with self.log.open("ab") as log:
            self._dockerd = subprocess.Popen(
                inside,
                env={"PATH": PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[3] if listen else [],
                preexec_fn=(lambda: os.dup2(listen.fileno(), 3)) if listen else None,  # noqa: PLW1509 - dash knows one digit
            )
        self._wait()

    def _wait(self) -> None:
        dockerd = self._dockerd
        assert dockerd
        if wait_until_up(self.url, lambda: dockerd.poll() is None):
            return
        pytest.fail(f"the second engine does not come up: {self.log.read_text()[-2000:]}")

    def end(self, by: signal.Signals) -> None:
        """End dockerd by a signal and wait till it has gone."""
        assert self._dockerd
        with contextlib.suppress(ProcessLookupError):
            os.kill(_child(self._dockerd.pid), by)
        self._dockerd.wait(START_S)
        self._dockerd = None

    @property
    def is_up(self) -> bool:
        return self._dockerd is not None and self._dockerd.poll() is None

    def shell(self, script: str) -> str:
        """Run a script beside dockerd, in the folder of its disk; return what it wrote."""
        inside = self._inside("sh", "-ec", f'cd "{self.folder}/root"\n{script}')
        return subprocess.run(inside, check=True, capture_output=True, text=True, env={"PATH": PATH}).stdout

    def free_bytes(self) -> int:
        return int(self.shell("stat -f -c '%a * %S' . | xargs expr"))

    def fill(self, *, leave_bytes: int) -> None:
        """Put files on the disk that leave only so much room."""
        self.shell(f"fallocate -l {self.free_bytes() - leave_bytes} ballast")

    def fill_up(self) -> None:
        """Leave no room at all."""
        self.fill(leave_bytes=1 << 20)
        self.shell("dd if=/dev/zero of=ballast.rest bs=4096 2>/dev/null || :")

    def make_room(self) -> None:
        self.shell("rm -f ballast*")

    def forget(self) -> None:
        """Remove all containers, and all images that runs made."""
        client = self.client()
        with contextlib.closing(client):
            for container in client.containers({}):
                client.remove_container(container.id)
            for image in client.labelled_images():
                for tag in image.tags:
                    client.untag(tag)
            for image in client.labelled_images():
                with contextlib.suppress(EngineError):  # gone with the one that grew on it
                    client.untag(image.id)

    def client(self) -> DockerEngine:
        return DockerEngine(Address(self.url))

    def close(self) -> None:
        """End all of it; what it mounted goes with its namespaces."""
        self._init.kill()
        self._init.communicate(timeout=START_S)
        if self._dockerd:
            self._dockerd.wait(START_S)

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(_child(self._init.pid)), "-m", "-n", "-p", "--", *command]


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def needs() -> str:
    """Say what is missing for a second engine, empty when nothing is."""
    if os.geteuid() != 0:
        return "a second dockerd with a disk of its own needs root"
    programs = ("dockerd", "mkfs.ext4", "unshare", "nsenter", "setpriv", "ip")
    missing = [program for program in programs if not shutil.which(program, path=PATH)]
    return f"not installed: {', '.join(missing)}" if missing else ""
