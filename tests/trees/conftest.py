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

from engines import names_below, remove_all_below, remove_names
from stalker.errors import NotThere
from workspace import Done, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stalker.engine.docker.adapter import DockerEngine

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("trees", "stalks", "plugins", "sysroot")
PATIENCE_S = 900
"""The first run on an engine bootstraps a Debian."""

STORE = "showcase_parcels"

KEPT = "stalker-test/kept"
"""Begins the names of images that stay for the next session, which finds them by their fingerprints."""

KEPT_S = 7 * 86400.0
"""After that they are made again: Debian has moved on, and so has what makes them."""


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


def keep(engine: DockerEngine, copy: Copy, stalks: Iterable[str]) -> None:
    """Keep the images of stalks that are the same in every copy, in place of those kept before."""
    for name in names_below(f"{copy.os}/"):
        kept = KEPT + name.removeprefix(copy.os)
        image, before = engine.image(name), engine.image(kept)
        if name.rpartition("/")[2].partition(":")[0] not in stalks or image is None:
            continue
        engine.tag(image.id, kept)
        if before is not None and before.id != image.id:
            remove_names(engine, [before.id])


def remove_old(engine: DockerEngine) -> None:
    """Remove images that were kept for long; call it before they can be used."""
    remove_names(engine, [name for name in names_below(KEPT) if _is_old(engine, name)])


def _is_old(engine: DockerEngine, name: str) -> bool:
    image = engine.image(name)
    return image is not None and time.time() - image.created_s > KEPT_S


def shown_by_rules(out: str) -> tuple[list[str], list[str]]:
    """Return the ruled lines of what `--watch_stdout` shows, and the text below each of them."""
    first, *pieces = re.split(r"(?m)^(-{4}.*-)\n", out)
    assert first == ""
    return pieces[::2], pieces[1::2]
