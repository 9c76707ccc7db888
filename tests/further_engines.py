"""Engines of other generations, stores and kinds, each in namespaces of its own, apart from the host's engine.

Their programs are Debian's: one root file system a suite, made once and kept in a cache directory under a name
with the versions in it. An engine has the `/usr` and `/etc` of its root and all else of this host, so a path
means the same to it and to its clients. It hangs on one process, as `engine2/second.py` describes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engines import START_S, wait_until_up
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.docker.http import Address
from stalker.fetch.base.bootstrap import deb_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
KEPT_S = 30 * 24 * 3600
"""After this a root is made again: its suite has newer engines."""

USER = 1000
PACKAGES = (
    "docker.io,docker-cli,containerd,runc,rootlesskit,podman,netavark,aardvark-dns,conmon,catatonit,"
    "containers-storage,crun,iptables,nftables,iproute2,uidmap,slirp4netns,busybox-static,ca-certificates,"
    "xz-utils,procps,mount,util-linux"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine: of which Debian suite, Docker or Podman, with which store, whether it is a user's own, its oldest API."""

    suite: str
    program: str = "dockerd"
    is_containerd: bool = False
    is_rootless: bool = False
    oldest_api: str = ""


KINDS = {
    "docker-containerd": Kind("forky", is_containerd=True, oldest_api="1.44"),  # both as in Docker 29
    "docker-rootless": Kind("forky", is_rootless=True),
    "podman": Kind("forky", "podman"),
    "docker-new": Kind("forky"),
    "docker26": Kind("trixie"),
    "docker26-containerd": Kind("trixie", is_containerd=True),
    "podman54": Kind("trixie", "podman"),
}
"""Name -> engine; the first three are what every run of the tests uses."""

NAMES = tuple(os.environ.get("STALKER_TEST_ENGINES", "docker-containerd docker-rootless podman").split())
"""The engines that are used, by name; `make engines` names all of them."""

SET_UP = """
set -e
mount --make-rprivate /
mount --bind "$MADE" "$MADE"
mount -t tmpfs none /run
mkdir -p /run/lock /run/user/1000
chown 1000:1000 /run/user/1000
if mountpoint -q /var/lib/docker; then umount -l /var/lib/docker; fi
# A rootless engine is limited by version 2 alone; where that cannot be mounted it goes without.
if [ "$CGROUPS" = 2 ] && ! mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; then
    umount /sys/fs/cgroup 2>/dev/null || :
fi
mount --bind "$ROOT/etc" /etc
mount --bind "$ROOT/usr" /usr
ip link set lo up
ulimit -n "$(ulimit -H -n)"
"$@" </dev/null &
wait $!
"""


def is_possible() -> str:
    """Say why such an engine is not possible here, empty when it is."""
    if os.geteuid() != 0:
        return "an engine in namespaces of its own needs root"
    missing = [name for name in ("mmdebstrap", "unshare", "setpriv") if not shutil.which(name, path=PATH)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def root_of(suite: str) -> Path:
    """Return the root file system with the engines of a Debian suite; made when there is none, or an old one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "stalker-test/engines"
    cache.mkdir(parents=True, exist_ok=True)
    for known in sorted(cache.glob(f"{suite}-*"), reverse=True):
        if time.time() - known.stat().st_mtime < KEPT_S:
            return known
        shutil.rmtree(known, ignore_errors=True)
    made = cache / f".{suite}.{os.getpid()}"
    accounts = f"echo user:x:{USER}:{USER}::/tmp:/bin/sh >>$1/etc/passwd; echo user:x:{USER}: >>$1/etc/group"
    ranges = "for file in subuid subgid; do echo user:100000:65536 >$1/etc/$file; done"
    command = [
        *("mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--include={PACKAGES}"),
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--customize-hook={accounts}; {ranges}",
        "--customize-hook=rm -rf $1/var/cache/apt/archives/*.deb $1/var/lib/apt/lists/* $1/usr/share/doc",
        *(suite, str(made), _mirror()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
        if done.returncode:
            pytest.fail(f"no root with the engines of {suite}: {done.stderr[-2000:]}", pytrace=False)
        os.utime(made)
        finished = cache / f"{suite}-{_versions(made)}"
        if finished.exists():
            shutil.rmtree(finished)
        made.rename(finished)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return finished


def _mirror() -> str:
    """Return the mirror of Debian that this host uses."""
    own = (line.split()[1] for line in deb_lines("bookworm", ["main"]) if "[" not in line)
    return next(own, "http://deb.debian.org/debian")


def _versions(root: Path) -> str:
    show = [
        "dpkg-query",
        f"--admindir={root}/var/lib/dpkg",
        "-W",
        "-f",
        "${Package}_${Version}-",
        "docker.io",
        "podman",
    ]
    return (
        subprocess.run(show, capture_output=True, text=True, check=False).stdout.strip("-").replace("/", "_")
    )


class FurtherEngine:
    """An engine of a kind; `url` is where it listens."""

    def __init__(self, kind: Kind) -> None:
        root = root_of(kind.suite)
        self.folder = Path(tempfile.mkdtemp(prefix="stalker-engine-"))
        self.folder.chmod(0o755)
        self.log = self.folder / "log"
        for name in ("data", "socket", "home"):
            (self.folder / name).mkdir()
            if kind.is_rootless:
                os.chown(self.folder / name, USER, USER)
        self.url = f"unix://{self.folder}/socket/engine.sock"
        (self.folder / "set-up").write_text(SET_UP)
        unshare = ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", *unshare),
                    *("sh", str(self.folder / "set-up"), *self._command(kind)),
                ],
                env={
                    "PATH": PATH,
                    "ROOT": str(root),
                    "MADE": str(self.folder),
                    "CGROUPS": "2" if kind.is_rootless else "",
                    "HOME": str(self.folder / "home"),
                    "XDG_RUNTIME_DIR": "/run/user/1000" if kind.is_rootless else "",
                    **({"DOCKER_MIN_API_VERSION": kind.oldest_api} if kind.oldest_api else {}),
                    "CONTAINERS_CONF": str(self.folder / "containers.conf"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _command(self, kind: Kind) -> list[str]:
        if kind.program == "podman":
            # What is asked for by default may be more than the limit of this machine.
            (self.folder / "containers.conf").write_text(
                '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]\n'
            )
            storage = ["--root", f"{self.folder}/data", "--runroot", "/run/containers/storage"]
            return ["podman", *storage, "system", "service", "--time=0", self.url]
        config = self.folder / "daemon.json"
        store = "true" if kind.is_containerd else "false"
        config.write_text(f'{{"features": {{"containerd-snapshotter": {store}}}}}')
        dockerd = [
            *("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", self.url),
            *("--config-file", str(config), "--data-root", f"{self.folder}/data"),
        ]
        if not kind.is_rootless:
            return [*dockerd, "--exec-root", "/run/engine", "--pidfile", "/run/engine.pid"]
        as_user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
        mapped = ["rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave"]
        own = ["--exec-root", "/run/user/1000/engine", "--pidfile", "/run/user/1000/engine.pid"]
        return [*as_user, *mapped, *dockerd, *own]

    def _wait(self) -> None:
        if wait_until_up(self.url, lambda: self._process.poll() is None):
            return
        said = self.log.read_text()[-3000:]
        self.close()
        pytest.fail(f"the engine does not come up: {said}", pytrace=False)

    def client(self) -> DockerEngine:
        return DockerEngine(Address(self.url))

    def close(self) -> None:
        """End all of it; what it mounted goes with its namespaces."""
        self._process.kill()
        self._process.wait(START_S)
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)


@contextlib.contextmanager
def started(name: str, **changes: Any) -> Iterator[FurtherEngine]:
    """Give a running engine by its name in KINDS, with `changes` of its kind, and end it."""
    why = is_possible()
    if why:
        if os.environ.get("CI"):
            pytest.fail(f"{name}: {why}", pytrace=False)
        pytest.skip(f"{name}: {why}")
    engine = FurtherEngine(replace(KINDS[name], **changes))
    try:
        yield engine
    finally:
        engine.close()


def new_base(engine: DockerEngine, rootfs: bytes) -> str:
    """Import a root file system under a name of its own, the same image on every engine."""
    name = f"stalker-test/further-{uuid.uuid4().hex[:8]}:1"
    engine.import_rootfs([rootfs], name, {}, "further engines")
    return name
