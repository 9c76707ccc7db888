"""What holds for all tests, and the engine of those that need one."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from stalker.engine.docker.adapter import DockerEngine

# A shell that starts something in the background lets it ignore Ctrl-C, nohup the end of its terminal, and so
# does all that they start: then no test could send one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# How long one example takes depends on what else the machine does; each test as a whole has its --timeout.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

GROUPS = {
    "engine2": ("tests/engine2/",),
    "further": ("tests/further/", "tests/contract/"),
    "portage": ("tests/plugins/test_portage_", "tests/trees/test_kantoo"),
    "plugins": ("tests/plugins/",),
    "raspi3": ("tests/trees/test_raspi3",),
    "trees": ("tests/trees/",),
}
"""What shares an engine or images that take long to make: one process runs it. A file is a group otherwise."""


ENGINES = {"engine", "second", "further"}
"""Fixtures that give a real engine, outside tests/unit. What uses one needs no mark of its own."""


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes minutes behind all else, as others fail sooner; in front where processes share the work."""
    for item in items:
        if ENGINES & set(getattr(item, "fixturenames", ())) and not item.nodeid.startswith("tests/unit/"):
            item.add_marker("docker")
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)
    else:
        items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def _turn(item: pytest.Item) -> int:
    """Return how early a test comes where processes share the work: the longest groups first.

    What needs no engine comes last: it is many small groups, and no process waits long for the other.
    """
    if item.get_closest_marker("last"):
        return 0
    if _group(item.nodeid) in GROUPS:
        return 1
    return 3 if item.nodeid.startswith("tests/unit/") else 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI: there a test that does not run is missing."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{item.nodeid} does not run here: {reason}"
    return report


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return next((group for group, begins in GROUPS.items() if file.startswith(begins)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each group of tests to one process, in the order that they were collected in."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        # Its own `loadgroup` groups nothing with pytest 9.2 (pytest-xdist#1386).
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """The engine that answers."""
    from engines import real_engine  # late: it imports Docker's client, which most tests do without

    engine = real_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def further_of() -> Iterator[Callable[[str], DockerEngine]]:
    """Give one of the further engines by its name; each is started once."""
    from further_engines import started

    known: dict[str, DockerEngine] = {}
    with contextlib.ExitStack() as running:

        def engine_of(name: str) -> DockerEngine:
            if name not in known:
                known[name] = running.enter_context(started(name)).client()
                running.callback(known[name].close)
            return known[name]

        yield engine_of


@pytest.fixture(scope="session")
def busybox(engine: DockerEngine) -> Iterator[str]:
    """The name of an image of nothing but busybox."""
    from engines import busybox_image

    with busybox_image(engine) as name:
        yield name
