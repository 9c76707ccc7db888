"""What holds for all tests, and the engine of those that need one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker import DockerEngine

# A shell that starts something in the background lets it ignore Ctrl-C, nohup the end of its terminal, and so
# does all that they start: then no test could send one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


TESTS = Path(__file__).resolve().parent
GROUPS = {
    "engine2": ("engine2/",),
    "portage": ("plugins/test_portage_", "trees/test_kantoo"),
    "plugins": ("plugins/",),
    "raspi3": ("trees/test_raspi3",),
    "trees": ("trees/",),
}
"""What shares an engine or images that take long to make: one process runs it. A file is a group otherwise."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes minutes behind all else, as others fail sooner; in front where processes share the work.

    Then what needs no engine comes last: it is many small groups, and no process waits long for the other.
    """
    if config.getoption("dist", "no") != "loadgroup":
        items.sort(key=_takes_minutes)
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: (not _takes_minutes(item), "unit" in item.path.relative_to(TESTS).parts))


def _takes_minutes(item: pytest.Item) -> bool:
    return item.get_closest_marker("last") is not None


def _group(item: pytest.Item) -> str:
    name = item.path.relative_to(TESTS).as_posix()
    return next((group for group, begins in GROUPS.items() if name.startswith(begins)), name)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """The engine that answers."""
    from engines import real_engine  # late: it imports Docker's client, which most tests do without

    engine = real_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def busybox(engine: DockerEngine) -> Iterator[str]:
    """The name of an image of nothing but busybox."""
    from engines import busybox_image

    with busybox_image(engine) as name:
        yield name
