"""The artifacts of a run: which are made when, and what becomes of the others."""

from __future__ import annotations

import threading
import time

import pytest

from build import BASE, plan, stalk, tree
from stalker.artifacts.context import Workshop
from stalker.artifacts.scheduler import ArtifactScheduler
from stalker.artifacts.store import look_at_all
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.engine.run_id import new_run_id
from stalker.errors import Interrupted
from stalker.model import events
from stalker.model.artifacts import Artifact, Files, Rootfs
from stalker.model.diagnostics import Place
from stalker.plan.artifacts import plan_artifacts
from stalker.plan.graph import link_steps
from stalker.plan.verdicts import select
from stalker.run.scheduler import RunOptions, RunResult, execute

PLACE = Place("trees/t/t.hjson")


def artifact(stalk_name, name="root", kind=None):
    return Artifact(name, stalk_name, PLACE, kind or Rootfs("root.tar"))


class Bench:
    """Runs a tree with its artifacts, as the command does, on a fake engine."""

    def __init__(self, path, *stalks, program=None):
        self.path = path
        self.tree = tree(*stalks, workspace=str(path))
        files = {"/etc/motd": b"hi\n"}
        self.engine = FakeEngine(program or (lambda _name, _environment: FakeRun(writes=dict(files))))
        self.engine.add_image(BASE)
        self.events = []
        self.cancel = threading.Event()

    def plan(self):
        from dataclasses import replace

        drawn = plan(self.tree, self.engine)
        selection = select(link_steps(self.tree))
        standing = look_at_all(self.tree, self.path / "cache")
        return replace(drawn, artifacts=plan_artifacts(drawn, selection, standing))

    def run(self, *, keep_going=False, jobs=2):
        run = new_run_id(time.time())
        drawn = self.plan()
        workshop = Workshop(
            self.engine, self.tree, str(self.path), {}, self.events.append, run, cancel=self.cancel
        )
        making = ArtifactScheduler(
            drawn, workshop, self.path / "cache", jobs=jobs, keep_going=keep_going, wait=False
        )
        with making:
            making.start()
            result = RunResult()
            if drawn.to_run:
                options = RunOptions(run, self.tree.file, jobs, keep_going=keep_going)
                result = execute(
                    drawn, self.engine, {}, self.events.append, options, on_done=making.step_done
                )
            making.finish(result)
        return result

    def finished(self):
        return {
            event.artifact: (event.state, event.brief)
            for event in self.events
            if isinstance(event, events.ArtifactFinished)
        }


def failing(*steps):
    return lambda name, _environment: FakeRun(3 if name in steps else 0, writes={"/etc/motd": b"hi\n"})


def test_all_artifacts_of_a_run_are_published(tmp_path):
    bench = Bench(
        tmp_path,
        stalk("base", "a", artifacts=(artifact("base"),)),
        stalk("web", "b", parent="base", artifacts=(artifact("web"), artifact("web", "two"))),
    )

    result = bench.run()

    assert sorted(result.made) == ["base/root", "web/root", "web/two"]
    assert (result.unmade, result.exit_code) == ([], 0)
    assert {one.verdict for one in bench.plan().artifacts.values()} == {"REUSE"}


def test_one_is_made_as_soon_as_its_image_is_there(tmp_path):
    """Steps of other stalks still run: the last one waits until the first artifact is published."""
    published = threading.Event()

    def program(name, _environment):
        if name == "c":
            assert published.wait(10), "nothing was published while a step ran"
        return FakeRun(writes={"/etc/motd": b"hi\n"})

    bench = Bench(
        tmp_path,
        stalk("base", "a", artifacts=(artifact("base"),)),
        stalk("web", "c", parent="base"),
        program=program,
    )
    take = bench.events.append

    def told(event):
        take(event)
        if isinstance(event, events.ArtifactFinished):
            published.set()

    bench.events = type("Events", (list,), {"append": lambda _self, event: told(event)})()

    result = bench.run()

    assert (result.made, result.exit_code) == (["base/root"], 0)


def test_without_keep_going_nothing_is_begun_after_a_failed_step(tmp_path):
    bench = Bench(
        tmp_path,
        stalk("bad", "x", artifacts=(artifact("bad"),)),
        stalk("good", "y", artifacts=(artifact("good"),)),
        program=failing("x"),
    )

    result = bench.run(jobs=1)

    assert result.exit_code == 1
    assert bench.finished()["bad/root"] == ("blocked", "bad:x failed")


def test_with_keep_going_only_what_needs_the_failed_step_is_blocked(tmp_path):
    bench = Bench(
        tmp_path,
        stalk("bad", "x", artifacts=(artifact("bad"),)),
        stalk("good", "y", artifacts=(artifact("good"),)),
        program=failing("x"),
    )

    result = bench.run(keep_going=True)

    assert (result.made, result.unmade, result.exit_code) == (["good/root"], ["bad/root"], 1)
    assert bench.finished()["bad/root"] == ("blocked", "bad:x failed")
    assert bench.finished()["good/root"][0] == "done"


@pytest.mark.parametrize("keep_going", [True, False])
def test_one_that_cannot_be_made_fails_the_run_and_is_told(tmp_path, keep_going):
    wrong = artifact("s", "wrong", Files("f.tar", ("/nothing",)))
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(wrong, artifact("s", "fine"))))

    result = bench.run(keep_going=keep_going, jobs=1)

    state, brief = bench.finished()["s/wrong"]
    assert (state, brief) == ("failed", "nothing in the image matches /nothing")
    assert result.exit_code == 1
    assert "s/wrong" in result.unmade
    assert ("s/fine" in result.made) or not keep_going


def test_a_blocked_one_fails_the_run(tmp_path):
    """A stalk without a step has no image of its own."""
    bench = Bench(tmp_path, stalk("s", artifacts=(artifact("s"),)), stalk("t", "a"))

    result = bench.run()

    assert (result.unmade, result.exit_code) == (["s/root"], 1)
    assert bench.finished()["s/root"][0] == "blocked"


def test_what_was_stopped_is_cancelled(tmp_path):
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(artifact("s"),)))
    assert bench.run().exit_code == 0
    (tmp_path / "artifacts/t/s/root/root.tar").unlink()
    bench.cancel.set()

    result = bench.run()

    assert result.unmade == ["s/root"]
    assert bench.finished()["s/root"][0] == "cancelled"


def test_an_interrupted_run_begins_no_artifact(tmp_path):
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(artifact("s"),)))
    drawn = bench.plan()
    workshop = Workshop(bench.engine, bench.tree, str(tmp_path), {}, bench.events.append, "r")
    making = ArtifactScheduler(drawn, workshop, tmp_path / "cache", jobs=1, keep_going=False, wait=False)
    result = RunResult(error=Interrupted("interrupted"))
    with making:
        making.start()
        making.finish(result)

    assert result.exit_code == 130
    assert bench.finished() == {"s/root": ("blocked", "interrupted")}


def test_a_run_that_comes_to_grief_leaves_nothing_half_made(tmp_path, monkeypatch):
    """What is being made is stopped before the error goes on."""
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(artifact("s"),)))
    assert bench.run().exit_code == 0
    (tmp_path / "artifacts/t/s/root/root.tar").unlink()
    began = threading.Event()

    def endless(_image):
        began.set()
        while not bench.cancel.is_set():
            yield bytes(512)
        raise Interrupted("stopped")

    monkeypatch.setattr(bench.engine, "export", endless)
    workshop = Workshop(
        bench.engine, bench.tree, str(tmp_path), {}, bench.events.append, "r", cancel=bench.cancel
    )
    making = ArtifactScheduler(
        bench.plan(), workshop, tmp_path / "cache", jobs=1, keep_going=False, wait=False
    )

    def stopped():
        with making:
            making.start()
            assert began.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert not list((tmp_path / "artifacts/t/s").glob(".*"))


def test_a_fault_of_ours_is_told_as_one_and_ends_no_other(tmp_path, monkeypatch):
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(artifact("s"), artifact("s", "two"))))
    real = ArtifactScheduler._origin

    def broken(self, action):
        if action.artifact.name == "root":
            raise KeyError("x")
        return real(self, action)

    monkeypatch.setattr(ArtifactScheduler, "_origin", broken)
    result = bench.run(keep_going=True)

    told = next(
        event
        for event in bench.events
        if getattr(event, "artifact", "") == "s/root" and hasattr(event, "state")
    )
    assert "bug in stalker" in told.details
    assert result.made == ["s/two"]


def test_what_a_killed_run_left_is_swept_when_nothing_has_to_be_made(tmp_path):
    bench = Bench(tmp_path, stalk("s", "a", artifacts=(artifact("s"),)))
    bench.run()
    folder = tmp_path / "artifacts/t/s"
    dead = new_run_id(0.0).rsplit("-", 2)[0] + "-999999-1"
    (folder / f".root-{dead}.part").mkdir()
    (folder / f".root-{dead}.link").symlink_to("nowhere")
    bench.events.clear()

    result = bench.run()

    assert (result.made, result.exit_code) == ([], 0)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["root", (folder / "root").readlink().name]
    )
