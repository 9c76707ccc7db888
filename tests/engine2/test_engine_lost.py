"""The engine goes away in the middle of a run, is stopped, or is back at once; a container is removed by hand."""

import contextlib
import signal

import pytest

from workspace import finish, read_until

NAP = "echo asleep; sleep 300"


@pytest.fixture
def asleep(space):
    """A run whose second step says that it is asleep, and goes on sleeping."""
    space.tree({"a": {}})
    space.stalk("a", {"one": "echo 1 > /one", "nap": NAP, "last": "cat /one"})
    running = space.start("run", "trees/t/t.hjson", "--json")
    try:
        said = read_until(running, '"step_output"', "asleep")
        yield space, running, said
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def wake(space):
    """Let the next run's step end at once; the step before is not touched."""
    file = space.path / "stalks/a/a.hjson"
    file.write_text(file.read_text().replace("sleep 300", "echo awake"))


def kill(second):
    second.end(signal.SIGKILL)


def stop(second):
    second.end(signal.SIGTERM)


def bounce(second):
    second.end(signal.SIGKILL)
    second.start()


@pytest.mark.parametrize("harm", [kill, stop, bounce])
def test_an_engine_that_goes_away_ends_the_run_and_the_next_one_goes_on(asleep, second, harm):
    """Exit 3 with the step's name and what to do; then what was committed is used, and the rest is made."""
    space, running, said = asleep

    harm(second)
    lost = finish(running, said)
    if not second.is_up:
        second.start()
    wake(space)
    done = space.run()

    assert lost.code == 3, lost
    (end,) = lost.of("run_finished")
    assert end["brief"].startswith(("a:nap", "the container of a:nap"))
    assert end["resolution"]
    assert (end["ran"], end["failed"], end["blocked"]) == (1, ["a:nap"], ["a:last"])
    assert "Traceback" not in lost.err
    assert done.code == 0, done
    assert done.verdicts == {"a:one": "REUSE", "a:nap": "RUN", "a:last": "RUN"}
    client = second.client()
    with contextlib.closing(client):
        assert client.containers({}) == []


def test_the_next_run_says_what_it_removed(asleep, second):
    """The killed engine's container is still there after its restart: it goes, and the user is reported."""
    space, running, said = asleep
    kill(second)
    lost = finish(running, said)
    run = lost.of("run_finished")[0]["run"]
    second.start()
    wake(space)

    done = space.run()

    notes = [note["text"] for note in done.of("note")]
    assert len([note for note in notes if note.startswith("removed the container") and run in note]) == 1, (
        notes
    )


def test_a_container_removed_by_hand_fails_its_step(asleep, second):
    """`docker rm -f` in the middle: said as it is, nothing left, and the next run goes on."""
    _, running, said = asleep
    client = second.client()
    with contextlib.closing(client):
        for container in client.containers({}):
            client.remove_container(container.id)

        done = finish(running, said)

        assert done.code == 1, done
        (told,) = (event for event in done.of("step_finished") if event["state"] != "done")
        assert told["step"] == "a:nap"
        assert "removed" in told["brief"]
        assert client.containers({}) == []


@pytest.mark.parametrize("moment", ["planned", "step_started", "container_started", "step_finished"])
def test_an_engine_killed_at_any_moment_is_told_the_same_way(space, second, moment):
    """Between calls, in a call, between steps: exit 3, no traceback, and the next run ends well."""
    space.tree({"a": {}})
    space.stalk("a", {"one": "echo 1 > /one", "two": "cat /one", "nap": NAP})
    running = space.start("run", "trees/t/t.hjson", "--json")
    said = read_until(running, f'"event": "{moment}"')

    kill(second)
    lost = finish(running, said)
    second.start()
    wake(space)
    done = space.run()

    assert lost.code == 3, lost
    assert "Traceback" not in lost.err
    (end,) = lost.of("run_finished")
    assert end["brief"]
    assert end["resolution"]
    assert done.code == 0, done
    assert done.of("run_finished")[0]["ran"] + end["ran"] == 3


def test_a_script_that_kills_the_shell_that_runs_it_has_failed(space):
    """That is the step's doing, not the engine's: exit 1, and the code of the signal."""
    space.tree({"a": {}})
    space.stalk("a", {"rash": "kill -9 $PPID; sleep 300"})

    done = space.run()

    assert done.code == 1, done
    (told,) = done.of("step_finished")
    assert told["brief"] == "a:rash failed with exit code 137"
    assert "ended the shell" in told["details"]


def test_an_engine_killed_in_a_commit_leaves_a_whole_step_or_none(space, second):
    """The step runs again, and its image is what its script wrote."""
    space.tree({"a": {}})
    space.stalk(
        "a", {"big": "dd if=/dev/urandom of=/big bs=1048576 count=60; md5sum /big > /sum; echo written"}
    )
    running = space.start("run", "trees/t/t.hjson", "--json")
    said = read_until(running, '"step_output"', "written")

    kill(second)
    lost = finish(running, said)
    second.start()
    done = space.run()
    space.stalk("b", {"check": "md5sum -c /sum"})
    space.tree({"a": {"b": {}}})
    checked = space.run()

    assert lost.code == 3, lost
    assert done.code == 0, done
    assert checked.code == 0, checked
