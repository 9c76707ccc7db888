"""The wheel, built, installed and used by an ordinary user, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines import remove_all_below

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
SOCKET = "/var/run/docker.sock"

TREE = """{
  architecture: { OS: "stalker-test", ARCH: "installed", SUBARCH: "%s" }
  stalks: { web: { base: { tag: "%s" } } }
}
"""
STALK = """{
  plugins: { line: { exec: true, use: "file.line", with: { file: "/etc/motd", line: "hello", create: true } } }
}
"""


class User:
    """An ordinary user with a home of its own, who may use the engine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        if os.getuid() == 0:
            os.chown(home, NOBODY, NOBODY)

    def run(self, *argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program; its output is shown when it fails."""
        drop = []
        if os.getuid() == 0:
            group = os.stat(SOCKET).st_gid if os.path.exists(SOCKET) else NOBODY
            drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={group}"]
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "DOCKER_", "UV_"))}
        environment = {**kept, "HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        environment["TMPDIR"] = str(self.home)
        done = subprocess.run(
            [*drop, *map(str, argv)],
            cwd=cwd or self.home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv}:\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    # not below pytest's own directory: no other user may enter that
    with tempfile.TemporaryDirectory(prefix="stalker-home-") as home:
        yield User(Path(home))


@pytest.fixture(scope="module")
def venv(user: User) -> Path:
    """A fresh environment with stalker, from a wheel that was built from an sdist; the checkout is not touched."""
    source, dist, builder, venv = (user.home / name for name in ("source", "dist", "builder", "venv"))
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in map(os.fsdecode, filter(None, names.split(b"\0"))):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    user.run("cp", "-r", source, user.home / "copy")
    python = python_for_all()
    user.run(python, "-m", "venv", builder)
    user.run(builder / "bin/pip", "install", "--quiet", "build")
    user.run(builder / "bin/python", "-m", "build", "--outdir", dist, user.home / "copy")
    shutil.rmtree(source)
    shutil.rmtree(user.home / "copy")
    assert len(list(dist.glob("stalker_images-*.tar.gz"))) == 1
    (wheel,) = dist.glob("stalker_images-*.whl")
    user.run(python, "-m", "venv", venv)
    user.run(venv / "bin/pip", "install", "--quiet", wheel)
    return venv


def python_for_all() -> str:
    """Return a Python that an ordinary user can run: that of the tests may be in the home of root."""
    return (
        shutil.which("python3", path="/usr/local/bin:/usr/bin") if os.getuid() == 0 else None
    ) or sys.executable


def state_of(venv: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file of the installation."""
    package = next((venv / "lib").glob("python3*/site-packages")) / "stalker"
    return {
        str(file): (file.stat().st_size, file.stat().st_mtime_ns)
        for file in package.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
def test_an_ordinary_user_installs_the_wheel_and_runs_a_first_tree(user, venv, engine, busybox):
    """With a plugin and a helper library that come with stalker; nothing is written into the installation."""
    subarch = f"u{os.getpid()}"
    space = user.home / "my images"
    for name, text in (("trees/t/t.hjson", TREE % (subarch, busybox)), ("stalks/web/web.hjson", STALK)):
        file = space / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if os.getuid() == 0:
        for path in (space, *space.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    stalker = venv / "bin/stalker"
    before = state_of(venv)
    try:
        first = user.run(stalker, "run", "t", cwd=space)
        second = user.run(stalker, "run", "t", cwd=space)
        listed = user.run(stalker, "plugins", cwd=space)
        journal = user.run(venv / "bin/eliot-tree", "logs/eliot.txt", cwd=space)
    finally:
        remove_all_below(engine, f"stalker-test/installed/{subarch}/")

    assert "1 step ran" in first.stderr
    assert "nothing to do" in second.stderr
    assert listed.stdout.split()[:2] == ["apt.install", "stalker"]
    assert "web:line" in journal.stdout
    assert state_of(venv) == before
