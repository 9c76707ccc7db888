"""The wheel, built, installed and used by an ordinary user, away from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from doc_pages import Block, Reader, at_once, base_environ
from engines import remove_all_below
from stalker.templates.files import CI_FILES, workspace_files
from stalker.templates.table import TEMPLATES
from unit.templates.test_files import commands_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker.adapter import DockerEngine

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

    @property
    def drop(self) -> tuple[str, ...]:
        """What comes in front of a program, to run it as this user; nothing where the tests do."""
        if os.getuid() != 0:
            return ()
        group = os.stat(SOCKET).st_gid if os.path.exists(SOCKET) else NOBODY
        return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={group}")

    def run(
        self, *argv: str | Path, cwd: Path | None = None, programs: tuple[Path, ...] = (), **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program, with those of some directories before others; its output is shown when it fails."""
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "DOCKER_", "UV_"))}
        environment = {**kept, "HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        environment["TMPDIR"] = str(self.home)
        environment["PATH"] = os.pathsep.join([*map(str, programs), environment["PATH"]])
        environment.update(environ)
        done = subprocess.run(
            [*self.drop, *map(str, argv)],
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
def wheel(user: User) -> Path:
    """A wheel that was built from an sdist; the checkout is not touched."""
    source, dist, builder = (user.home / name for name in ("source", "dist", "builder"))
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in map(os.fsdecode, filter(None, names.split(b"\0"))):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    user.run("cp", "-r", source, user.home / "copy")
    user.run(python_for_all(), "-m", "venv", builder)
    user.run(builder / "bin/pip", "install", "--quiet", "build")
    user.run(builder / "bin/python", "-m", "build", "--outdir", dist, user.home / "copy")
    shutil.rmtree(source)
    shutil.rmtree(user.home / "copy")
    assert len(list(dist.glob("stalker_images-*.tar.gz"))) == 1
    (wheel,) = dist.glob("stalker_images-*.whl")
    return wheel


@pytest.fixture(scope="module")
def venv(user: User, wheel: Path) -> Path:
    """A fresh environment with stalker."""
    venv = user.home / "venv"
    user.run(python_for_all(), "-m", "venv", venv)
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


def own_names(space: Path, subarch: str) -> None:
    """Give the images of a new workspace names of their own, and its first script a comment: no step is there yet."""
    script = space / "stalks/hello_world/hello_from_sh.sh"
    script.write_text(script.read_text().replace("set -eu\n", f"set -eu # {subarch}\n"))
    for tree in space.glob("trees/*/*.hjson"):
        text = re.sub(r'OS: "?[a-z-]+"?', 'OS: "stalker-test"', tree.read_text())
        text = re.sub(r'\bARCH: "?[\w-]+"?', 'ARCH: "installed"', text, count=1)
        tree.write_text(re.sub(r'SUBARCH: "?[\w-]+"?', f'SUBARCH: "{subarch}"', text))


@pytest.fixture(scope="module")
def python_base(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The base of the tree `hello` is on the engine: what root makes once, any user has."""
    space = tmp_path_factory.mktemp("hello")
    subarch = f"h{os.getpid()}"
    program = [sys.executable, "-P", "-m", "stalker.cli"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    try:
        subprocess.run([*program, "init", str(space)], env=environ, check=True)
        own_names(space, subarch)
        subprocess.run([*program, "run", "hello_world"], cwd=space, env=environ, check=True)
    finally:
        remove_all_below(engine, f"stalker-test/installed/{subarch}/")


@pytest.mark.slow
@pytest.mark.parametrize("ci", ["github", "gitlab", "woodpecker"])
def test_the_commands_of_a_ci_file_check_and_run_a_new_workspace(ci, user, wheel, venv, engine, python_base):
    """As they are in the file, in a clean environment where only its image's programs are."""
    subarch = f"c{ci}{os.getpid()}"
    space, image = user.home / f"space-{ci}", user.home / f"image-{ci}"
    user.run(venv / "bin/stalker", "init", space, "--ci", ci)
    own_names(space, subarch)
    user.run(python_for_all(), "-m", "venv", image)
    if ci == "github":
        user.run(image / "bin/pip", "install", "--quiet", "pipx")
    document = yaml.safe_load((space / CI_FILES[ci]).read_text())
    outputs = []
    try:
        for command in commands_of(document):
            done = user.run(
                "bash",
                "-ec",
                command,
                cwd=space,
                programs=(image / "bin", user.home / ".local/bin"),
                STALKER=str(wheel),
                DOCKER_HOST="",
            )
            outputs.append(done.stdout + done.stderr)
    finally:
        remove_all_below(engine, f"stalker-test/installed/{subarch}/")

    assert (image / "bin/stalker").exists() or (user.home / ".local/bin/stalker").exists()
    assert "files read, no problems" in outputs[-2]
    assert "4 steps ran" in outputs[-1]


@pytest.mark.slow
def test_templates_from_a_wheel_are_those_of_the_checkout(user, venv):
    """Modes and links too, which a wheel cannot hold."""
    for name, template in TEMPLATES.items():
        space = user.home / f"template-{name}"
        user.run(venv / "bin/stalker", "init", space, "--from", name)

        for file in workspace_files(template, space.name):
            path = space / file.path
            assert (os.readlink(path) if path.is_symlink() else "") == file.link
            assert file.link or (path.read_bytes(), path.stat().st_mode & 0o777) == (file.content, file.mode)


class OrdinaryReader(Reader):
    """A reader whose files belong to the ordinary user."""

    def write(self, block: Block) -> None:
        super().write(block)
        for path in self.folder.rglob("*"):
            if os.getuid() == 0:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.slow
def test_an_ordinary_user_does_the_tutorial_word_for_word(user, venv, engine, busybox):
    """With the installed program, without the checkout: each screen is that of the page."""
    own = f"stalker-test-{os.getpid()}"
    folder = user.home / "kiosk"
    user.run("mkdir", folder)
    environ = {**base_environ(user.home), "TMPDIR": str(user.home), "HOME": str(user.home)}
    environ["PATH"] = f"{venv / 'bin'}:{environ['PATH']}"
    reader = OrdinaryReader(folder, environ, at_once(own, busybox), user.drop)
    try:
        reader.follow(ROOT / "docs/tutorial.md", own)
    finally:
        remove_all_below(engine, f"{own}/")
