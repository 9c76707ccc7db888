"""What holds for all tests, and the engine of those that need one."""

from __future__ import annotations

import signal
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
