"""The engine that tests use, found as the program finds it; nothing is installed or started."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stalker.engine.discovery import Candidate, answering, find_address, ping
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.docker.http import Address
from stalker.errors import EngineError, NoEngine
from stalker.model import labels
from workspace import busybox_rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stalker.model.images import Image

START_S = 60

BUSYBOX = f"stalker-test/busybox:{uuid.uuid4().hex[:8]}"
"""A name of this session alone: two sessions on one engine do not take it from each other."""


def has_to_be_there(what: str) -> None:
    """Fail where the machine is ours to set up: in CI, and for root. Skip elsewhere."""
    if os.environ.get("CI") or os.geteuid() == 0:
        pytest.fail(f"{what}; `make test` sets it up", pytrace=False)
    pytest.skip(what)


def wait_until_up(url: str, is_running: Callable[[], bool]) -> bool:
    """Wait until an engine answers at a socket; False when its process has ended, or after a minute."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and is_running():
        with contextlib.suppress(NoEngine):
            ping(Candidate(Address(url), "the test"))
            return True
        time.sleep(0.05)  # an engine announces nothing that could be awaited
    return False


def real_engine() -> DockerEngine:
    """Return the engine that answers."""
    try:
        return DockerEngine(answering(find_address(os.environ, os.path.expanduser("~"))).address)
    except NoEngine as error:
        has_to_be_there(f"{error.brief}: {error.details}")
        raise


@contextlib.contextmanager
def busybox_image(engine: DockerEngine, name: str = BUSYBOX) -> Iterator[str]:
    """Give the name of an image of nothing but busybox; it goes at the end."""
    # An image is what it holds: without a label of its own it would be that of another session, and so its steps.
    engine.import_rootfs([rootfs()], name, {"session": name}, "busybox for tests")
    try:
        yield name
    finally:
        remove_names(engine, [name])


def rootfs(more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a root file system of nothing but a busybox that needs no libraries and `more`, as a tar."""
    program = shutil.which("busybox")
    if program is not None and b"/ld-linux" not in Path(program).read_bytes()[:4096]:
        return busybox_rootfs(more)
    with tempfile.TemporaryDirectory() as folder:
        get = "apt-get download -q busybox-static && dpkg-deb -x busybox-static_*.deb ."
        done = subprocess.run(["sh", "-c", get], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            has_to_be_there(f"no static busybox: {done.stderr.strip()}")
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}/bin:{path}"
        try:
            return busybox_rootfs(more)
        finally:
            os.environ["PATH"] = path


def remove_names(engine: DockerEngine, names: Iterable[str]) -> None:
    """Take image names away, the younger first, as far as the engine lets go of them."""
    for name in names:
        with contextlib.suppress(EngineError):
            engine.untag(name)


def names_below(prefix: str, engine: DockerEngine | None = None) -> list[str]:
    """List the image names that begin so, those of younger images first."""
    host = ["--host", engine.address.url] if engine is not None and not engine.address.ca else []
    listed = subprocess.run(
        ["docker", *host, "images", "--format", "{{.Repository}}:{{.Tag}}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    names = (name.removeprefix("docker.io/") for name in listed)
    return [name for name in names if name.startswith(prefix)]


def remove_all_below(engine: DockerEngine, prefix: str) -> None:
    """Take away every image whose name begins so, and those that had such a name, the younger first."""
    remove_names(engine, names_below(prefix, engine))
    found = sorted(engine.labelled_images(), key=lambda image: -image.created_s)
    ours = [image for image in found if _work_of(image).startswith(prefix)]
    remove_names(engine, [image.id for image in ours if not image.tags])


def _work_of(image: Image) -> str:
    return image.labels.get(labels.STEP) or image.labels.get(labels.FAILED) or ""
