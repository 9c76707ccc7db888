"""Images and containers of a foreign architecture on a real engine: 32-bit ARM."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from engines import remove_all_below
from stalker.fetch.bases import Bases
from stalker.fetch.mirror import deb_lines
from stalker.model.bases import base_key
from stalker.model.labels import BASE
from stalker.model.places import Place
from stalker.model.tree import BootstrapBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker import DockerEngine
    from stalker.model.images import Image

pytestmark = pytest.mark.docker

ARM = "linux/arm/v7"
NAMES = f"stalker-test/foreign-{uuid.uuid4().hex[:8]}"
MIRROR = next((line.split()[1] for line in deb_lines("bookworm", ("main",)) if "[" not in line), "")
TINY = BootstrapBase(
    "bookworm",
    Place("trees/t/t.hjson"),
    variant="extract",
    mirror=MIRROR,  # one alone: security updates are not mirrored for every architecture everywhere
    include=("base-files", "busybox-static", "dash"),
)
"""A Debian of which nothing runs while it is made; that it is armhf, the platform says."""


@pytest.fixture(scope="module")
def armhf(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A tiny Debian for ARMv7, bootstrapped once."""
    folder = tmp_path_factory.mktemp("armhf")
    bases = Bases(engine, folder / "cache", folder, yes=True, platform=ARM)
    assert bases.obstacle(TINY) == ""
    yield bases.provide(TINY, f"{NAMES}/base:initial", lambda _: None)
    remove_all_below(engine, NAMES)


def test_a_bootstrap_for_a_platform_is_of_that_platform(engine, armhf):
    """Nobody said armhf: the tree said linux/arm/v7, and the image says so too, on every engine."""
    assert (armhf.architecture, armhf.variant) == ("arm", "v7")
    assert armhf.labels[BASE] == base_key(TINY, ARM)
    assert armhf.comment == f"stalker base {base_key(TINY, ARM)}"
    assert engine.missing_paths(armhf.id, ["/bin/busybox", "/bin/dash"]) == []
