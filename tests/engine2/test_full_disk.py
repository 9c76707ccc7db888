"""The engine's disk gets full: the step that did it is reported, nothing half-done stays, and the run goes on later."""

import pytest

MB = 1 << 20
NOISE = 8 * MB
"""What the engine's own files may take or free meanwhile."""

WRITE = "dd if=/dev/zero of=/big bs=1048576 count=%d && echo written"


def grow(space, megabytes, **block):
    space.tree({"a": {}})
    text = f"#!/bin/sh\n{WRITE % megabytes}\n"
    space.stalk(
        "a", {"one": "echo 1 > /one", "big": {"exec": True, "text": text, **block}, "last": "cat /one"}
    )


def left_behind(space, second):
    """Containers of anyone, images of this test with their names, and images without a name."""
    client = second.client()
    try:
        containers = [container.name for container in client.containers({})]
        images = client.labelled_images()
        names = {tag.partition("/")[2] for image in images for tag in image.tags if tag.startswith(space.os)}
        nameless = [image for image in images if not image.tags and space.os in str(image.labels)]
    finally:
        client.close()
    return containers, names, nameless


FULL = [
    pytest.param(40, 80, id="for what the script writes"),
    pytest.param(100, 70, id="for the commit, which writes the layer again"),
]


@pytest.mark.parametrize(("room", "megabytes"), FULL)
def test_a_full_disk_fails_the_step_and_the_run_goes_on_when_there_is_room(space, second, room, megabytes):
    """The message says that the disk is full; no tag, no container; then only what is missing runs."""
    grow(space, megabytes)
    second.fill(leave_bytes=room * MB)
    before = second.free_bytes()

    failed = space.run()
    left = left_behind(space, second)
    after = second.free_bytes()
    second.make_room()
    done = space.run()

    assert failed.code == 1, failed
    (told,) = (event for event in failed.of("step_finished") if event["state"] != "done")
    assert told["step"] == "a:big"
    said = " ".join([told["brief"], told["details"], *told["last_lines"]]).lower()
    assert "no space left" in said
    assert left == ([], {"x/y/a:one"}, [])
    assert abs(before - after) < NOISE
    assert done.code == 0, done
    assert done.verdicts == {"a:one": "REUSE", "a:big": "RUN", "a:last": "RUN"}


def test_a_commit_without_room_says_whose_disk_it_is_and_what_to_do(space, second):
    """Not a bare `no space left on device`: the user's own disk has room."""
    grow(space, 70)
    second.fill(leave_bytes=100 * MB)

    failed = space.stalker("run", "trees/t/t.hjson")

    assert failed.code == 1
    assert "the engine's disk is full" in failed.err
    assert "make room" in failed.err
    assert "a:big" in failed.err.splitlines()[-1]
    assert "Traceback" not in failed.err


def test_a_disk_with_no_room_at_all(space, second):
    """Not even a container can be made: the step is named, and nothing is left."""
    grow(space, 1)
    second.fill_up()

    failed = space.run()
    containers, names, nameless = left_behind(space, second)
    second.make_room()
    done = space.run()

    assert failed.code == 1, failed
    assert "full" in failed.of("step_finished")[-1]["brief"]
    assert (containers, names, nameless) == ([], set(), [])
    assert (done.code, done.of("run_finished")[0]["ran"]) == (0, 3)
