"""What a killed creation of an image leaves in the engine goes with the next one."""

import subprocess
import sys
import time

import pytest

from stalker.cli.telling import Telling, late_toolbox
from stalker.engine.interface import ContainerSpec
from stalker.model import labels
from stalker.run.owner import new_run_id

pytestmark = pytest.mark.docker

ID = "import time; from stalker.run.owner import new_run_id; print(new_run_id(time.time()))"


def test_the_next_toolbox_sweeps_those_of_runs_that_were_killed(engine, busybox):
    """Of runs that live nothing is touched."""
    dead = subprocess.run(
        [sys.executable, "-c", ID], capture_output=True, text=True, check=True
    ).stdout.strip()
    runs = {"dead": dead, "living": new_run_id(time.time())}
    made = {
        name: engine.create(
            ContainerSpec(
                image=engine.image(busybox).id,
                name=f"stalker-test-{name}-{dead}",
                labels={labels.RUN: run, labels.VERSION: labels.CONTAINER},
            )
        )
        for name, run in runs.items()
    }
    try:
        with late_toolbox(Telling()) as toolbox:
            toolbox()
        left = {one.id for one in engine.containers({labels.RUN: ""})}
        assert made["living"] in left
        assert made["dead"] not in left
    finally:
        for container in made.values():
            engine.remove_container(container)
