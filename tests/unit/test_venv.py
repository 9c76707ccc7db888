"""`./stalker` in a clean checkout: it makes its environment once, and harms nothing when disturbed.

The checkout is a copy with a package that only says which Python runs it. Its requirements.txt pins one
tiny wheel, made here, so that no test needs the network.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAY = """
import json, os, sys
import tiny
print(json.dumps({
    "python": sys.executable, "argv": sys.argv[1:], "cwd": os.getcwd(), "tiny": tiny.__version__, "path": sys.path,
}))
"""


def make_wheel(folder, version):
    """Write a wheel of the package `tiny`; return the line that pins it."""
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for name, text in files.items()
    )
    wheel = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return f"tiny=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


ENSUREPIP = """
import os, sysconfig
if gate := os.environ.get("GATE"):
    open(gate).close()
os.symlink({pip!r}, sysconfig.get_path("purelib") + "/pip")
"""
"""Gives a new environment a pip that is installed elsewhere: installing one takes seconds. Waits while GATE, a
named pipe, has no writer."""


class Checkout:
    """A copy of what the launcher needs, and how it is called."""

    def __init__(self, root, wheels, python=sys.executable):
        self.root = root
        self.wheels = wheels
        self.python = str(python)
        package = root / "lib/stalker"
        (package / "cli").mkdir(parents=True)
        shutil.copy2(ROOT / "stalker", root)
        shutil.copy2(ROOT / "lib/stalker/venv.py", package)
        (package / "__init__.py").touch()
        (package / "cli/__init__.py").touch()
        (package / "cli/__main__.py").write_text(SAY)
        self.require("1.0")

    def require(self, version):
        (self.root / "requirements.txt").write_text(make_wheel(self.wheels, version))

    @property
    def venv(self):
        return self.root / ".venv"

    @property
    def venvs(self):
        return sorted(entry.name for entry in (self.root / ".venv.d").iterdir() if entry.is_dir())

    def environ(self, **more):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "STALKER_PYTHON": self.python,
            **more,
        }

    def begin(self, *arguments, command=None, **more):
        """Start the launcher, in a session of its own."""
        return subprocess.Popen(
            [str(command or self.root / "stalker"), *arguments],
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments, command=None, cwd=None, **more):
        return subprocess.run(
            [str(command or self.root / "stalker"), *arguments],
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
        )


def answer(done):
    """What the package said; the launcher's own words are on stderr alone."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout in a folder with spaces, its environment made by the first call, by this very Python."""
    folder = tmp_path_factory.mktemp("wheels")
    checkout = Checkout(tmp_path_factory.mktemp("with spaces") / "a b'c", folder)
    checkout.first = checkout.run("one", "two words", "")
    return checkout


@pytest.fixture(scope="module")
def quick_python(tmp_path_factory):
    """The Python of the tests, with a quick ensurepip."""
    prefix = tmp_path_factory.mktemp("python")
    package = make_bare_python(prefix) / "ensurepip"
    package.mkdir()
    (package / "__init__.py").touch()
    pip = str(Path(importlib.util.find_spec("pip").origin).parent)
    (package / "__main__.py").write_text(ENSUREPIP.format(pip=pip))
    return prefix / "bin/python3"


@pytest.fixture
def fresh(tmp_path, quick_python):
    """A checkout that was never called."""
    (tmp_path / "wheels").mkdir()
    return Checkout(tmp_path / "checkout", tmp_path / "wheels", quick_python)


def test_the_first_call_makes_the_environment_and_runs_the_package(made):
    """Arguments arrive as they were given; progress is on stderr alone."""
    said = answer(made.first)

    assert said["argv"] == ["one", "two words", ""]
    assert said["tiny"] == "1.0"
    assert said["python"].startswith(f"{made.root}/.venv.d/")
    assert ".venv is ready" in made.first.stderr


def test_the_second_call_is_silent_and_makes_nothing(made):
    """A warm start changes no file."""
    before = made.venvs, (made.venv / "stamp").stat().st_mtime_ns

    done = made.run()

    assert answer(done)["tiny"] == "1.0"
    assert done.stderr == ""
    assert (made.venvs, (made.venv / "stamp").stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    "how", ["absolute link", "relative link", "link to a link", "link to the folder", "PATH", "sh"]
)
def test_it_may_be_called_by_any_way(made, how, tmp_path):
    """From any folder, through links, by name alone: it finds its checkout, and stays in the folder."""
    command, arguments = made.root / "stalker", ()
    more = {}
    if how == "absolute link":
        (tmp_path / "link").symlink_to(command)
        command = tmp_path / "link"
    elif how == "relative link":
        (tmp_path / "link").symlink_to(os.path.relpath(command, tmp_path))
        command = "./link"
    elif how == "link to a link":
        (tmp_path / "bin").mkdir()
        (tmp_path / "one").symlink_to(command)
        (tmp_path / "bin/two").symlink_to("../one")
        command = tmp_path / "bin/two"
    elif how == "link to the folder":
        (tmp_path / "folder").symlink_to(made.root)
        command = tmp_path / "folder/stalker"
    elif how == "PATH":
        command, arguments = "env", ("stalker",)
        more = {"PATH": f"{made.root}:{os.environ['PATH']}"}
    elif how == "sh":
        command, arguments = "sh", (os.path.relpath(command, tmp_path),)

    done = made.run(*arguments, "x", command=command, cwd=tmp_path, **more)

    assert answer(done)["argv"] == ["x"]
    assert answer(done)["cwd"] == str(tmp_path)
    assert done.stderr == ""


def test_the_folder_that_it_is_called_in_is_not_imported_from(made, tmp_path):
    """A file tiny.py or stalker/ in a workspace is not taken for ours; PYTHONPATH is the user's."""
    (tmp_path / "tiny.py").write_text("__version__ = 'theirs'\n")
    (tmp_path / "mine").mkdir()

    said = answer(made.run(cwd=tmp_path, PYTHONPATH=str(tmp_path / "mine")))

    assert said["tiny"] == "1.0"
    assert str(tmp_path / "mine") in said["path"]
    assert str(tmp_path) not in said["path"]


def test_the_exit_code_is_the_packages_own(made, tmp_path):
    """The launcher adds nothing to it."""
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(41)\n")

    assert made.run(PYTHONPATH=str(tmp_path)).returncode == 41


def test_a_warm_start_adds_little_over_python(made):
    """At most 30 ms of the processor, measured in turns; about 3 ms are usual."""
    python = answer(made.run())["python"]
    direct = [python, "-P", "-m", "stalker.cli"]

    def took_s(command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=made.environ(), stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(took_s([str(made.root / "stalker")]), took_s(direct)) for _ in range(15)]

    assert statistics.median(launched - alone for launched, alone in pairs) < 0.030


def test_no_network_and_no_lock_is_needed_once_it_is_made(made):
    """A checkout that another user made, and that cannot be written, runs."""
    done = made.run(PIP_FIND_LINKS="/nonexistent", STALKER_PYTHON="")

    assert answer(done)["tiny"] == "1.0"


def test_other_requirements_make_another_environment(fresh):
    """A changed requirements.txt counts at the next call; going back finds the former environment."""
    first = answer(fresh.run())
    fresh.require("2.0")
    second = answer(fresh.run())
    fresh.require("1.0")
    back = fresh.run()

    assert (first["tiny"], second["tiny"]) == ("1.0", "2.0")
    assert answer(back)["python"] == first["python"]
    assert "making" not in back.stderr
    assert len(fresh.venvs) == 2


def test_two_at_once_make_one_environment(fresh):
    """The second waits for the first, then both run in the same one."""
    both = [fresh.begin(), fresh.begin()]
    said = [process.communicate(timeout=60) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum("making .venv from" in stderr for _, stderr in said) == 1
    assert said[0][0] == said[1][0]
    assert len(fresh.venvs) == 1


def test_a_kill_in_the_middle_does_no_harm(fresh):
    """All its processes end by kill -9 while packages are installed: the next call begins again."""
    process = fresh.begin()
    deadline = time.monotonic() + 30
    while not list(fresh.root.glob(".venv.d/*/requirements.txt")):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not fresh.venv.exists()

    done = fresh.run()

    assert answer(done)["tiny"] == "1.0"
    assert len(fresh.venvs) == 1


def test_a_killed_launcher_whose_pip_lives_on_is_waited_for(fresh, tmp_path):
    """Only the launcher is killed: what it started has the lock until it is over."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = fresh.begin(GATE=str(gate))
    deadline = time.monotonic() + 30
    while not list(fresh.root.glob(".venv.d/*/pyvenv.cfg")):
        assert time.monotonic() < deadline, process.communicate()
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    process.wait()

    second = fresh.begin()
    first_line = second.stderr.readline()
    gate.open("w").close()
    out, err = second.communicate()

    assert "waiting for it" in first_line
    assert second.returncode == 0, err
    assert json.loads(out)["tiny"] == "1.0"
    process.communicate()


def test_a_copied_checkout_makes_an_environment_of_its_own(fresh, tmp_path):
    """Paths are written into an environment; the one that was copied along is not used."""
    first = answer(fresh.run())
    copy = tmp_path / "copy"
    shutil.copytree(fresh.root, copy, symlinks=True)

    said = answer(fresh.run(command=copy / "stalker"))

    assert first["python"].startswith(f"{fresh.root}/.venv.d/")
    assert said["python"].startswith(f"{copy}/.venv.d/")


def test_a_package_that_is_not_the_pinned_one_is_refused(fresh):
    """Another content under the same name and version: no environment, and a clear message."""
    pinned = (fresh.root / "requirements.txt").read_text()
    (fresh.root / "requirements.txt").write_text(pinned[:-65] + "0" * 64 + "\n")

    done = fresh.run()

    assert done.returncode == 1
    assert done.stdout == ""
    assert "not the one that requirements.txt pins" in done.stderr
    assert not fresh.venv.exists()


def test_a_package_that_cannot_be_had_is_explained(fresh):
    """Without the network the message names it, and what to look at."""
    (fresh.wheels / "tiny-1.0-py3-none-any.whl").unlink()

    done = fresh.run()

    assert done.returncode == 1
    assert "package index could not be reached" in done.stderr
    assert "HTTPS_PROXY" in done.stderr


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("/nonexistent/python3", "no /nonexistent/python3 found"),
        ("{folder}/old", "Python 3.9.2; Python 3.11 or later is needed"),
        ("{folder}/bare/bin/python3", "apt-get install -y python3-venv"),
    ],
)
def test_a_python_that_will_not_do_is_named_with_the_remedy(fresh, python, says):
    """Missing, too old, or without ensurepip, as Debian ships it."""
    old = fresh.wheels / "old"
    old.write_text("#!/bin/sh\ncase $1 in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac\n")
    old.chmod(0o755)
    make_bare_python(fresh.wheels / "bare")

    done = fresh.run(STALKER_PYTHON=python.format(folder=fresh.wheels))

    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def make_bare_python(prefix):
    """Make a Python that has all of this one's standard library but ensurepip; return where its library is."""
    base = Path(sys._base_executable).resolve()
    library = Path(os.__file__).parent
    own = prefix / "lib" / library.name
    own.mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name != "ensurepip":
            (own / entry.name).symlink_to(entry)
    (prefix / "bin").mkdir()
    shutil.copy2(base, prefix / "bin/python3")
    return own
