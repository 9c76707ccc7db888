"""What a killed run left is removed, and nothing else."""

from __future__ import annotations

from build import BASE
from stalker.engine.fake import FakeEngine
from stalker.engine.interface import ContainerSpec
from stalker.model import labels
from stalker.run.owner import new_run_id
from stalker.run.sweep import sweep

stamp, clock, host, pid, start = new_run_id(0).split("-")
DEAD = "-".join([stamp, clock, host, pid, start + "1"])


def engine_with_container(version, run):
    engine = FakeEngine()
    engine.add_image(BASE)
    engine.create(ContainerSpec(BASE, "one", {labels.RUN: run, labels.VERSION: version}))
    return engine


def test_a_container_of_a_dead_run_goes():
    engine = engine_with_container(labels.CONTAINER, DEAD)
    said = []

    assert sweep(engine, [], said.append) == 1
    assert engine.live == {}
    assert said == [f"removed the container one, left by run {DEAD}, which was killed"]


def test_a_container_of_a_living_run_stays():
    engine = engine_with_container(labels.CONTAINER, new_run_id(0))

    assert sweep(engine, [], print) == 0
    assert len(engine.live) == 1


def test_a_container_that_a_user_started_from_a_steps_image_stays():
    """It inherits the labels of its image: the run that made it is long over, the user's work is not."""
    engine = engine_with_container("1.0", DEAD)

    assert sweep(engine, [], print) == 0
    assert len(engine.live) == 1
