"""The showcase tree does what its comments say."""

from __future__ import annotations

import io
import tarfile

import pytest

pytestmark = pytest.mark.docker

TREE = "trees/showcase/showcase.hjson"
PARCELS = (
    "apples for the Saturday market\nbox 1 of 3\nbox 2 of 3\nbox 3 of 3\n"
    "pears for the Saturday market\nbox 1 of 3\nbox 2 of 3\nbox 3 of 3\n"
)
BRANCHES = [f"showcase_{side}:{step}" for side in ("left", "right") for step in ("pick", "deliver")]
JOIN = [f"showcase_join:{step}" for step in ("gather", "server", "fetch", "final")]


@pytest.fixture(scope="module")
def copy(new_copy):
    """A copy that has run once, after a change to the first step, so that none is there before."""
    copy = new_copy()
    copy.edit(
        "stalks/showcase/showcase.hjson", "mkdir -p /srv/showcase\n", f"mkdir -p /srv/showcase # {copy.os}\n"
    )
    return copy


@pytest.fixture(scope="module")
def ran(copy):
    done = copy.stalker("run", TREE, "--json")
    assert done.code == 0, done.err
    return done


def said(done, step):
    """Return what a step printed, all attempts."""
    return "".join(event["data"] for event in done.of("step_output") if event["step"] == step)


def finished(done):
    """Return the steps that ended well, in that order."""
    return [event["step"] for event in done.of("step_finished") if event["state"] == "done"]


def read(engine, image, name):
    """Return a file of an image."""
    archive = io.BytesIO(b"".join(engine.export(image)))
    with tarfile.open(fileobj=archive) as members:
        stream = members.extractfile(name)
        assert stream is not None
        return stream.read().decode()


def test_every_step_runs_the_join_behind_both_branches(ran):
    """Branches may end in any order; what needs both begins when both are there."""
    order = finished(ran)

    assert sorted(order) == sorted(["showcase:prepare", *BRANCHES, *JOIN])
    assert order[0] == "showcase:prepare"
    assert order[-4:] == JOIN


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_van_is_late_once(ran, side):
    """The first attempt fails, the second one works."""
    states = [
        (event["attempt"], event["state"])
        for event in ran.of("step_finished")
        if event["step"] == f"showcase_{side}:deliver"
    ]

    assert states == [(1, "failed"), (2, "done")]


def test_the_server_is_reached_by_its_name(ran):
    """A later step reads from http://server:8000/ what the daemonized step serves."""
    assert said(ran, "showcase_join:fetch") == "fetch: fetched 127 bytes from http://server:8000/\n"
    assert "listening on port 8000" in said(ran, "showcase_join:server")
    assert said(ran, "showcase_join:final") == "the Saturday market is open: 6 boxes\n"


def test_the_last_image_holds_what_was_made(ran, copy, engine):
    """The text of both branches, the file of `copy` with its braces, and no file of the server."""
    final = copy.image("showcase_join:final")

    assert read(engine, final, "srv/showcase/fetched.txt") == PARCELS
    assert read(engine, final, "etc/showcase-release") == (
        'NAME=showcase\nMARKET="Saturday market"\nBRACES={these stay} {}\n'
    )


def test_a_second_run_has_nothing_to_do(ran, copy):
    """Nothing has changed, so nothing runs."""
    again = copy.stalker("run", TREE, "--json")

    assert ran.code == again.code == 0
    assert finished(again) == []
    assert again.of("run_finished")[0]["ran"] == 0


def test_a_change_in_one_branch_runs_that_branch_and_the_join(ran, copy):
    """One more box of pears leaves the apples alone."""
    copy.edit(TREE, "FRUIT: pears\n", 'FRUIT: pears\n        PIECES: "4"\n')

    changed = copy.stalker("run", TREE, "--json")

    assert changed.code == ran.code == 0, changed.err
    assert finished(changed) == ["showcase_right:pick", "showcase_right:deliver", *JOIN]
    assert said(changed, "showcase_join:final") == "the Saturday market is open: 7 boxes\n"
