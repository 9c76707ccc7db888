"""What changes while a run goes on never enters an image under the digest of what was there before."""

from __future__ import annotations

import json

import pytest

from stalker.model import labels
from workspace import finish, read_until

pytestmark = pytest.mark.docker

WAIT = "echo began; while [ ! -e /gate/go ]; do sleep 0.1; done"


def fingerprints(space):
    """Return the fingerprints of all images that were committed here, by step."""
    return {
        image.labels[labels.STEP].rpartition(":")[2]: image.labels[labels.FINGERPRINT]
        for image in space.engine.labelled_images()
        if image.labels.get(labels.STEP, "").startswith(f"{space.prefix}/")
    }


def run_and_change(space, change):
    """Run the tree, and make a change while the step `wait` waits."""
    (space.path / "gate").mkdir()
    with space.start("run", "trees/t/t.hjson", "--json") as running:
        before = read_until(running, '"step_output"', "began")
        change()
        (space.path / "gate/go").touch()
        return finish(running, before)


def planned(space):
    document = json.loads(space.stalker("plan", "trees/t/t.hjson", "--json").out)
    return {step["step"]: step["fingerprint"] for step in document["steps"]}


@pytest.fixture
def space(workspace):
    workspace.tree({"s": {}})
    workspace.write("src/version", "1\n")
    (workspace.path / "big.bin").write_bytes(b"\0old")
    workspace.stalk(
        "s",
        {
            "gate": {"path": "gate", "bind": "/gate", "mode": "rw"},
            "src": {"path": "src", "bind": "/src"},
            "wait": WAIT,
            "big": {"path": "big.bin", "copy": "/srv/big.bin"},
            "one": "cp /src/version /srv/version",
        },
    )
    return workspace


def test_a_mounted_directory_that_changes_fails_the_step_that_could_see_it(space):
    """Nothing is committed under the fingerprint of the old content, and the next run is right."""
    was_planned = planned(space)

    done = run_and_change(space, lambda: space.write("src/version", "2\n"))

    [ended] = done.of("step_finished")
    assert done.code == 1
    assert ended["brief"] == f"{space.path}/src changed while the step ran"
    assert "run again" in ended["resolution"]
    assert fingerprints(space) == {}
    assert space.image("s:wait.failed") is None

    assert space.run().code == 0
    assert space.text("s:one", "/srv/version") == "2\n"
    assert set(fingerprints(space).values()).isdisjoint(was_planned.values())


def test_a_file_that_changes_before_it_is_placed_fails_its_step(space):
    """The steps before are committed: they did not have it."""
    was_planned = planned(space)

    done = run_and_change(space, lambda: (space.path / "big.bin").write_bytes(b"\0new"))

    assert done.code == 1
    assert done.of("step_finished")[-1]["brief"] == f"{space.path}/big.bin changed while the step ran"
    assert fingerprints(space) == {"wait": was_planned["s:wait"]}

    assert space.run().code == 0
    assert space.files("s:one")["/srv/big.bin"].content == b"\0new"
    assert fingerprints(space)["one"] != was_planned["s:one"]
