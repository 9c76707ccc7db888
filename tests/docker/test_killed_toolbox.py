"""What a killed creation of an image leaves in the engine goes with the next one."""

import subprocess
import sys
import time

import pytest

from stalker.app.card_images.lazy_tool import lazy_tool
from stalker.engine.interface import ContainerSpec
from stalker.engine.run_id import new_run_id
from stalker.model import labels

pytestmark = pytest.mark.docker

ID = "import time; from stalker.engine.run_id import new_run_id; print(new_run_id(time.time()))"


def test_the_next_toolbox_sweeps_those_of_runs_that_were_killed(engine, busybox, tmp_path):
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
        with lazy_tool(tmp_path, print) as tool:
            tool()
        left = {one.id for one in engine.containers({labels.RUN: ""})}
        assert made["living"] in left
        assert made["dead"] not in left
    finally:
        for container in made.values():
            engine.remove_container(container)
