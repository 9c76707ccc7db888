"""A real engine, a base of nothing but busybox, and workspaces whose images nobody else has."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from engines import remove_all_below
from run_space import SESSION, Space, new_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.engine.docker.adapter import DockerEngine


@pytest.fixture(scope="session")
def engine(engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine that answers; what these tests left in it goes at the end."""
    yield engine
    remove_all_below(engine, f"stalker-test/{SESSION}/")


@pytest.fixture
def workspace(tmp_path: Path, engine: DockerEngine, busybox: str) -> Iterator[Space]:
    """A workspace whose images nobody else has; nothing of it is in the engine afterwards."""
    with new_space(tmp_path, engine, busybox) as made:
        yield made


@pytest.fixture(scope="module")
def shared_space(
    tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine, busybox: str
) -> Iterator[Callable[[], Space]]:
    """Give workspaces that live as long as a module: for a run that many tests look at."""
    with contextlib.ExitStack() as made:
        yield lambda: made.enter_context(new_space(tmp_path_factory.mktemp("space"), engine, busybox))
