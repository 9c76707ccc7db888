"""What a killed run left is removed, and nothing else."""

from __future__ import annotations

import time

import pytest

from build import BASE
from stalker.engine.fake import FakeEngine
from stalker.engine.interface import ContainerSpec
from stalker.engine.run_id import new_run_id
from stalker.model import labels
from stalker.run import cleanup as sweeping
from stalker.run.cleanup import sweep

OWN = new_run_id(0)
DEAD = OWN + "1"
STRANGE = "20261121-020305-0123456789ab-1-1b4f"
NAMES = {OWN: "own", DEAD: "dead", STRANGE: "strange"}


def name(value):
    """Name a case by the kind of its run, not by this process's number."""
    return NAMES.get(value, str(value))


class Shelter:
    """An engine with containers and half-made images of runs."""

    def __init__(self):
        self.engine = FakeEngine()
        self.engine.add_image(BASE)
        self.said = []

    def container(self, run, state, version=labels.CONTAINER):
        made = self.engine.create(ContainerSpec(BASE, "one", {labels.RUN: run, labels.VERSION: version}))
        self.engine.live[made].state = state
        return made

    def half_made(self, run):
        return self.engine.add_image("", {labels.TEMPORARY: run})

    def sweep(self):
        return sweep(self.engine, self.engine.labelled_images(), self.said.append)


def test_a_container_of_a_dead_run_goes():
    shelter = Shelter()
    shelter.container(DEAD, "running")

    assert shelter.sweep() == 1
    assert shelter.engine.live == {}
    assert shelter.said == [f"removed the container one, left by run {DEAD}, which was killed"]


def test_a_container_that_has_stopped_goes_wherever_its_run_was():
    """Its idle process ended with the connection of its run: no process number is needed."""
    shelter = Shelter()
    shelter.container(STRANGE, "exited")

    assert shelter.sweep() == 1
    assert shelter.engine.live == {}


@pytest.mark.parametrize(
    ("run", "state"),
    [(OWN, "running"), (OWN, "exited"), (STRANGE, "running"), (STRANGE, "paused"), (DEAD, "removing")],
    ids=name,
)
def test_a_container_of_a_living_run_stays(run, state):
    """Of one that cannot be seen from here too; what is being removed already is not touched."""
    shelter = Shelter()
    shelter.container(run, state)

    assert shelter.sweep() == 0
    assert len(shelter.engine.live) == 1
    assert shelter.said == []


def test_a_container_that_a_user_started_from_a_steps_image_stays():
    """It inherits the labels of its image: the run that made it is long over, the user's work is not."""
    shelter = Shelter()
    shelter.container(DEAD, "exited", version="1.0")

    assert shelter.sweep() == 0
    assert len(shelter.engine.live) == 1


def test_a_container_that_never_started_is_left_alone_and_named(monkeypatch):
    """Whether its run lives cannot be known in another PID namespace; while it is young, it likely does."""
    shelter = Shelter()
    shelter.container(STRANGE, "created")
    now_s = time.time()
    monkeypatch.setattr(sweeping.time, "time", lambda: now_s + sweeping.YOUNG_S / 2)
    young = shelter.sweep(), list(shelter.said)
    monkeypatch.setattr(sweeping.time, "time", lambda: now_s + sweeping.YOUNG_S * 2)

    assert shelter.sweep() == 0
    assert young == (0, [])
    (said,) = shelter.said
    assert said.startswith(f"left alone: the container one, which run {STRANGE} created and never started")
    assert said.endswith("docker rm one removes it")
    assert len(shelter.engine.live) == 1


@pytest.mark.parametrize(
    ("run", "container", "goes"),
    [
        (DEAD, None, True),
        (OWN, None, False),
        (STRANGE, None, True),
        (STRANGE, "running", False),
        (STRANGE, "exited", True),
    ],
    ids=name,
)
def test_a_half_made_image_goes_when_its_run_is_over(run, container, goes):
    """A run has a container running as long as it has one, so the engine knows of runs elsewhere."""
    shelter = Shelter()
    image = shelter.half_made(run)
    if container:
        shelter.container(run, container)

    shelter.sweep()

    assert (image.id not in shelter.engine.images_by_id) is goes
    told = f"removed a temporary image of run {run}, which is over"
    assert [said for said in shelter.said if "image" in said] == [told] * goes


def test_the_images_of_one_run_are_one_line():
    shelter = Shelter()
    for run in (DEAD, STRANGE, DEAD):
        shelter.half_made(run)

    assert shelter.sweep() == 3
    assert shelter.said == [
        f"removed 2 temporary images of run {DEAD}, which is over",
        f"removed a temporary image of run {STRANGE}, which is over",
    ]


def test_what_a_step_grows_on_stays():
    """It was committed in the end: the half-made image is a layer of it."""
    shelter = Shelter()
    image = shelter.half_made(STRANGE)
    shelter.engine.add_image("os/x/y/s:a", {labels.STEP: "x"}, image.id)

    assert shelter.sweep() == 0
    assert image.id in shelter.engine.images_by_id
