"""Reusable plugins run in real containers of one small Debian, which is made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hjson
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
DEBIAN = "stalker-test/debian:bookworm"
INCLUDE = "python3-minimal,systemd,locales,openssh-server"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL = "io.stalker.test=plugins"

# what a change anywhere in the file system, also one that was taken back, alters
LISTING = (
    r"find / -xdev -path /tmp -prune -o -printf '%p %y %m %U %G %s %T@ %C@ %l\n'"
    " | sed 's/^\\/ d .*//' | LC_ALL=C sort"
)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def image_is_there(name: str) -> bool:
    found = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    return found.returncode == 0


@dataclass(frozen=True)
class Ran:
    """What came of a script; `output` is stdout and stderr as they came."""

    code: int
    output: str


class Machine:
    """A container that plugins run in, one after the other."""

    def __init__(self, image: str, *options: str) -> None:
        self.environment: dict[str, str] = {}
        """What stalker gives to each step, such as STALKER_NEEDS."""
        mounts = (
            *(f"{file}:/entropy/plugins/{file.name}:ro" for file in (PLUGINS / "lib/bash").iterdir()),
            f"{PLUGINS}:/entropy/shelf:ro",
        )
        self.id = docker(
            *("create", "--init", "--label", LABEL, *options),
            *(word for mount in mounts for word in ("--volume", mount)),
            *(image, "sleep", "600"),
        )
        try:
            docker("start", self.id)
        except AssertionError:
            self.remove()
            raise

    def sh(self, script: str) -> Ran:
        """Run a line of shell."""
        return self._exec("sh", "-c", script)

    def read(self, script: str) -> str:
        """Return what a line of shell prints; it must end well."""
        ran = self.sh(script)
        assert ran.code == 0, ran.output
        return ran.output.strip()

    def use(self, plugin: str, **arguments: object) -> Ran:
        """Run a reusable plugin as a step with `use` and `with` does."""
        environment = self.environment | environment_of(plugin, arguments)
        words = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return self._exec("sh", f"/entropy/shelf/{plugin}.sh", options=words)

    def listing(self) -> str:
        """Return a line for each file with all that a change to it would alter."""
        return self.read(LISTING)

    def commit(self, image: str) -> None:
        docker("commit", self.id, image)

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.id)

    def _exec(self, *argv: str, options: list[str] | None = None) -> Ran:
        done = subprocess.run(
            ["docker", "exec", *(options or []), self.id, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Ran(done.returncode, done.stdout)


def sidecar(plugin: str) -> dict[str, dict]:
    return hjson.loads((PLUGINS / f"{plugin}.hjson").read_text())


def environment_of(plugin: str, arguments: dict[str, object]) -> dict[str, str]:
    """Return the variables that a script gets for these arguments, defaults from its sidecar."""
    declared = sidecar(plugin)["arguments"]
    unknown = set(arguments) - set(declared)
    assert not unknown, f"{plugin} has no {unknown}"
    values = {name: about.get("default", "") for name, about in declared.items()} | arguments
    return {name.upper(): _text(value) for name, value in values.items()}


def digest_of(plugin: str, arguments: dict[str, object]) -> str:
    """Return what tells apart what a plugin makes with these arguments, as a tag: by the bytes that take part in it."""
    parts = [PLUGINS / f"{plugin}.sh", PLUGINS / f"{plugin}.hjson", *sorted((PLUGINS / "lib/bash").iterdir())]
    whole = hashlib.sha256(docker("image", "inspect", "--format={{.Id}}", DEBIAN).encode())
    whole.update(repr(sorted(arguments.items())).encode())
    for part in parts:
        whole.update(hashlib.sha256(part.read_bytes()).digest())
    return whole.hexdigest()[:12]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value)


@pytest.fixture(scope="session")
def debian() -> str:
    """The name of a small Debian image with systemd, locales and an SSH server in it."""
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine answers")
    if not image_is_there(DEBIAN):
        if not shutil.which("mmdebstrap"):
            pytest.skip("mmdebstrap is not installed")
        bootstrap = subprocess.Popen(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={INCLUDE}", "bookworm", "-"],
            stdout=subprocess.PIPE,
        )
        subprocess.run(
            ["docker", "import", "--change", f"ENV PATH={PATH}", "-", DEBIAN],
            stdin=bootstrap.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        if bootstrap.wait():
            docker("rmi", DEBIAN)
            pytest.fail("mmdebstrap failed")
    return DEBIAN


@pytest.fixture
def start() -> Iterator[Callable[..., Machine]]:
    """Start containers that are gone after the test: `start(image, *options of docker run)`."""
    machines: list[Machine] = []

    def start_one(image: str, *options: str) -> Machine:
        machines.append(Machine(image, *options))
        return machines[-1]

    yield start_one
    for machine in machines:
        machine.remove()


@pytest.fixture
def keep(debian: str, start: Callable[..., Machine]) -> Callable[..., str]:
    """Return the image that a plugin makes of Debian: `keep(name, plugin, **arguments)`; made once, again when the plugin changes."""

    def keep_one(name: str, plugin: str, **arguments: object) -> str:
        image = f"{name}:{digest_of(plugin, arguments)}"
        if not image_is_there(image):
            maker = start(debian)
            made = maker.use(plugin, **arguments)
            assert made.code == 0, made.output
            maker.commit(image)
        return image

    return keep_one


@pytest.fixture
def derived(keep: Callable[..., str], start: Callable[..., Machine]) -> Callable[..., Machine]:
    """Start a Debian with more packages, `derived(name, packages, *options)`; the image is made once and kept."""

    def start_derived(name: str, packages: list[str], *options: str) -> Machine:
        return start(keep(name, "apt.install", packages=packages), *(options or ("--network=none",)))

    return start_derived


@pytest.fixture
def machine(debian: str, start: Callable[..., Machine]) -> Machine:
    """A fresh Debian without network."""
    return start(debian, "--network", "none")
