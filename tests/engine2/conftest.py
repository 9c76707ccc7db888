"""A second engine for the tests here, and a workspace on it."""

import uuid

import pytest

from engine2.second import SecondEngine, needs
from engines import rootfs
from workspace import Workspace

BASE = "stalker-test/base:1"


@pytest.fixture(scope="session")
def second_for_all(tmp_path_factory):
    if why := needs():
        pytest.skip(why)
    engine = SecondEngine(tmp_path_factory.mktemp("engine2"))
    try:
        engine.start()
        client = engine.client()
        client.import_rootfs([rootfs()], BASE, {}, "")
        client.close()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def second(second_for_all):
    """The engine, up and with room; what a test did to it is repaired."""
    engine = second_for_all
    engine.make_room()
    if not engine.is_up:
        engine.start()
    engine.forget()
    return engine


@pytest.fixture
def space(second, tmp_path):
    """A workspace whose images nobody else has, on the second engine."""
    return Workspace(
        tmp_path,
        f"stalker-test-{uuid.uuid4().hex[:8]}",
        BASE,
        second.url,
        options={"network_mode": "none"},
    )
