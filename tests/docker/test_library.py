"""The library on a real engine: what a program sees of plans and runs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import stalker
from stalker.library.run import Run
from stalker.library.workspace import Workspace

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/library.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def space(workspace, monkeypatch):
    for name, value in workspace.environ().items():
        monkeypatch.setenv(name, value)
    return workspace


def tree_of(space, **steps):
    space.tree({"s": {}})
    space.stalk("s", steps)
    return Workspace(space.path).tree("t")


def test_a_run_gives_events_and_a_result_and_prints_nothing(space, capfd):
    tree = tree_of(space, a="echo hello >/a", b="true")
    before = signal.getsignal(signal.SIGINT)

    planned = [(step.step, step.verdict) for step in tree.plan().to_run]
    with tree.run() as run:
        given = list(run)
    result = run.result()

    assert planned == [("s:a", "RUN"), ("s:b", "RUN")]
    assert isinstance(run, Run)
    assert isinstance(given[0], stalker.events.RunStarted)
    assert isinstance(given[-1], stalker.events.RunFinished)
    assert (result.exit_code, result.ran, result.error, list(result.images)) == (0, 2, None, ["s:a", "s:b"])
    assert {image.id for image in tree.images()} >= set(result.images.values())
    assert tree.plan().to_run == ()
    assert tree.export("s:b", space.path / "out.tar") == (space.path / "out.tar",)
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr() == ("", "")


def test_a_failing_step_is_an_error_of_three_parts(space):
    result = tree_of(space, a="echo oops; exit 3").run().result()

    assert (result.exit_code, result.failed) == (1, ("s:a",))
    with pytest.raises(stalker.StepFailed) as failed:
        result.check()
    assert "s:a" in failed.value.brief
    assert "oops" in failed.value.details


def test_a_cancelled_run_ends_at_once_and_the_next_goes_on(space):
    tree = tree_of(space, a="true", b="test -e /proc/sys/kernel/never || sleep 600")
    run = tree.run()
    for event in run:
        if isinstance(event, stalker.events.ContainerStarted) and event.step == "s:b":
            run.cancel()
    result = run.result()

    assert (result.exit_code, result.ran) == (130, 1)
    assert isinstance(result.error, stalker.Interrupted)
    assert [step.step for step in tree.plan().to_run] == ["s:b"]


def test_two_threads_run_two_trees(space):
    tree_of(space, a="echo 1 >/a; sleep 1")
    text = (space.path / "trees/t/t.hjson").read_text()
    space.write("trees/u/u.hjson", text.replace('"s": {', '"z": {'))
    space.stalk("z", {"a": "echo 2 >/a; sleep 1"})
    codes = {}

    def work(name):
        codes[name] = Workspace(space.path).tree(name).run().result().exit_code

    threads = [threading.Thread(target=work, args=(name,)) for name in ("t", "u")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == {"t": 0, "u": 0}


def test_a_task_of_asyncio_that_is_cancelled_cancels_its_run(space):
    tree = tree_of(space, a="sleep 600")

    async def build():
        async with tree.run() as run:
            task = asyncio.current_task()
            async for event in run:
                if isinstance(event, stalker.events.ContainerStarted):
                    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(build())
    assert len(tree.plan().to_run) == 1


def test_problems_of_files_are_raised_with_their_places(space):
    space.tree({"s": {}})
    with pytest.raises(stalker.FilesError) as raised:
        Workspace(space.path).tree("t")

    assert raised.value.problems[0].place.file


@pytest.mark.parametrize("example", EXAMPLES, ids=["plain", "asyncio"])
def test_the_examples_of_the_page_run(space, example):
    tree_of(space, a="true")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=space.path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
