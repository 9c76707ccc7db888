"""Trees in copies with image names of their own, planned on the fake engine and run on a real one."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines import remove_all_below
from stalker.errors import NotThere
from workspace import Done, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.engine.docker import DockerEngine

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("trees", "stalks", "plugins", "sysroot")
PATIENCE_S = 900
"""The first run on an engine bootstraps a Debian."""

STORE = "showcase_parcels"


class Copy(Workspace):
    """The shipped trees, with `OS` and the store renamed, so that nobody else has their images."""

    def edit(self, name: str, old: str, new: str) -> None:
        """Change one spot of a file."""
        file = self.path / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def stalker(self, *arguments: str, patience_s: float = PATIENCE_S, **environ: str) -> Done:
        """Run the program to its end, however long a base takes."""
        began_s = time.monotonic()
        with self.start(*arguments, **environ) as running:
            try:
                out, err = running.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                running.kill()
                raise
        return Done(running.returncode, out, err, time.monotonic() - began_s)

    def image(self, step: str) -> str:
        """Return the full name of a step's image: `stalk:step`."""
        return f"{self.os}/x86-64bit/generic_64/{step}"


@pytest.fixture(scope="session")
def new_copy(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Copy]]:
    """Make copies of the shipped trees; their images and stores are removed at the end."""
    made: list[Copy] = []

    def make() -> Copy:
        name = f"stalker-test-{uuid.uuid4().hex[:8]}"
        copy = Copy(tmp_path_factory.mktemp("shipped"), name, "")
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, copy.path / folder, symlinks=True)
        for tree in ("hello_world", "showcase", "amd64"):
            copy.edit(f"trees/{tree}/{tree}.hjson", "OS: debian\n", f"OS: {name}\n")
        for stalk in ("showcase_branch", "showcase_join"):
            copy.edit(f"stalks/{stalk}/{stalk}.hjson", f"store: {STORE}\n", f"store: {name}\n")
        made.append(copy)
        return copy

    yield make
    for copy in made:
        remove_all_below(engine, f"{copy.os}/")
        with contextlib.suppress(NotThere):  # only the showcase has one
            engine.remove_volume(copy.os)


def shown_by_rules(out: str) -> tuple[list[str], list[str]]:
    """Return the ruled lines of what `--watch_stdout` shows, and the text below each of them."""
    first, *pieces = re.split(r"(?m)^(-{4}.*-)\n", out)
    assert first == ""
    return pieces[::2], pieces[1::2]
