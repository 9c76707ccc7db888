"""No engine answers: said at once, with what to do."""

import contextlib
import socket

import pytest

from workspace import Workspace


@pytest.fixture(params=["no socket", "a dead socket", "a closed port", "a closed pipe"])
def nobody(request, tmp_path):
    """Places where no engine answers."""
    path = tmp_path / "docker.sock"
    with contextlib.ExitStack() as stack:
        if request.param == "a dead socket":
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
                server.bind(str(path))
        if request.param == "a closed port":
            closed = stack.enter_context(socket.socket())  # bound and not listening: nobody else gets it
            closed.bind(("127.0.0.1", 0))
            yield f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        elif request.param == "a closed pipe":
            path.write_text("")
            yield f"unix://{path}"
        else:
            yield f"unix://{path}"


@pytest.mark.parametrize("command", [["run", "trees/t/t.hjson"], ["plan", "trees/t/t.hjson"], ["images"]])
def test_no_engine_is_told_within_a_second(nobody, tmp_path, command):
    """Exit 3, the address that was tried, who named it, and what to do. The program's own start is not counted."""
    space = Workspace(tmp_path / "space", "stalker-test", "stalker-test/base:1", nobody)
    space.tree({"a": {}})
    space.stalk("a", {"one": "true"})

    start = space.stalker("check", "trees/t/t.hjson")
    done = space.stalker(*command)

    assert start.code == 0, start
    assert done.code == 3, done
    assert done.took_s - start.took_s < 10
    assert f"no engine answers at {nobody}" in done.err
    assert "DOCKER_HOST" in done.err
    assert "unset it" in done.err or "start that engine" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_files_are_read_before_an_engine_is_asked(tmp_path):
    """A slip in a file is reported, not the missing engine: exit 2."""
    space = Workspace(tmp_path, "stalker-test", "stalker-test/base:1", f"unix://{tmp_path}/no.sock")
    space.tree({"a": {"bse": 1}})
    space.stalk("a", {"one": "true"})

    done = space.stalker("run", "trees/t/t.hjson")

    assert done.code == 2
    assert "did you mean 'base'" in done.err
