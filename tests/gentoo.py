"""Fixtures of tests that run in the stand-in of a stage3: `pytest_plugins = ["gentoo"]`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from plugins.conftest import docker, image_is_there
from portage_machine import BUILT, CONFIGURED, FOLDER, PACKAGES, Gentoo, make_standin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the image with Portage and nothing built."""
    return make_standin(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def built(standin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of an image in which Portage is configured and the packages are built, for this session."""
    ebuilds = tmp_path_factory.mktemp("built") / "ebuilds"
    shutil.copytree(FOLDER / "ebuilds", ebuilds)
    machine = Gentoo(standin, ebuilds)
    try:
        for plugin, arguments in (("configure", CONFIGURED), ("build", {"packages": PACKAGES})):
            ran = machine.use(f"portage.{plugin}", **arguments)
            assert ran.code == 0, ran.output
        machine.commit(BUILT)
    finally:
        machine.remove()
    yield BUILT
    if image_is_there(BUILT):
        docker("rmi", BUILT)


@pytest.fixture
def gentoo(tmp_path: Path) -> Iterator[Callable[..., Gentoo]]:
    """Start machines that are gone after the test: `gentoo(image, *options of docker run)`."""
    machines: list[Gentoo] = []

    def start(image: str, *options: str, is_bare: bool = False) -> Gentoo:
        ebuilds = tmp_path / f"ebuilds{len(machines)}"
        shutil.copytree(FOLDER / "ebuilds", ebuilds)
        machines.append(Gentoo(image, ebuilds, *options, is_bare=is_bare))
        return machines[-1]

    yield start
    for machine in machines:
        machine.remove()
