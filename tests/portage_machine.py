"""The stand-in of a stage3 with the real Portage, made once for an engine, and machines that run in it.

The fixtures are in gentoo.py, which test modules name in `pytest_plugins`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.conftest import PLUGINS, Machine, Ran, environment_of
from workspace import LIB

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "stalks/kantoo_standin"
TREE = "trees/kantoo/kantoo-standin.hjson"
REPOSITORY = "/var/db/repos/standin"
KEPT = "stalker-test-standin"
"""OS of the kept images: where a tree asks for the same work under another name, it is there."""

BASE = f"{KEPT}/x86-64bit/generic_64/standin:portage"
BUILT = f"{KEPT}/built:{os.getpid()}"
PATIENCE_S = 600


def put_wheel(workspace: Path) -> None:
    """Put Portage's wheel where the stand-in takes it from, by pip and as the documents say."""
    target = workspace / "workspace/wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*pip, "--dest", str(target), "-r", str(FOLDER / "requirements.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"Portage is not available: {done.stderr}", pytrace=False)


def link_workspace(path: Path) -> None:
    """Make a workspace that has the shipped trees and the wheel."""
    for name in ("trees", "stalks", "plugins", "sysroot"):
        (path / name).symlink_to(ROOT / name)
    put_wheel(path)


def make_standin(path: Path) -> str:
    """Make the stand-in, or find it made, and return the name of its image; it is kept."""
    link_workspace(path)
    command = [sys.executable, "-m", "stalker.cli", "run", TREE, "--until", "standin", "--set", f"OS={KEPT}"]
    done = subprocess.run(
        command,
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(LIB), "XDG_CACHE_HOME": str(path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return BASE


class Gentoo(Machine):
    """A container of the stand-in, with an ebuild repository of its own that may be changed.

    `is_bare`: without repository and contract, and with the network of this host.
    """

    def __init__(self, image: str, ebuilds: Path, *options: str, is_bare: bool = False) -> None:
        self.ebuilds = ebuilds
        config = FOLDER / "sysroot/etc/portage/repos.conf/standin.conf"
        helpers = f"{PLUGINS / 'lib/python/kantoo'}:/entropy/plugins/kantoo:ro"
        mounts = (
            f"{ebuilds}:{REPOSITORY}:ro",
            f"{config}:/etc/portage/repos.conf/standin.conf:ro",
            *(f"{FOLDER / 'contract.py'}:/usr/bin/{program}:ro" for program in ("eit", "equo")),
        )
        words = (word for mount in (helpers, *(() if is_bare else mounts)) for word in ("--volume", mount))
        super().__init__(image, "--network", "host" if is_bare else "none", *words, *options)

    def use(self, plugin: str, **arguments: object) -> Ran:
        """Run a reusable plugin written in Python."""
        environment = {
            **self.environment,
            **environment_of(plugin, arguments),
            "PYTHONPATH": "/entropy/plugins",
        }
        words = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return self._exec("python3", "-B", f"/entropy/shelf/{plugin}.py", options=words)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change one spot of a file of the repository."""
        file = self.ebuilds / name
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        file.write_text(text.replace(old, new))


PACKAGES = ["app-misc/hello", "sys-kernel/standin-kernel"]
FEATURES = (
    "-sandbox -usersandbox -userpriv -userfetch -usersync -network-sandbox -ipc-sandbox -pid-sandbox"
    " -mount-sandbox -news -merge-sync -merge-wait -binpkg-multi-instance -strict -preserve-libs nostrip"
)
CONFIGURED = {
    "profile": "standin",
    "packages_dir": "/portage/packages",
    "make_conf": f"CC=tcc\nFEATURES={FEATURES}",
}
