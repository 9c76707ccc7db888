"""A plan, done, on the fake engine."""

from __future__ import annotations

import threading

from build import BASE, PREFIX, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import EngineFull, Interrupted, NoEngine
from stalker.io.cancel import Cancel
from stalker.model import events
from stalker.plan.image_index import commit_of, made_from


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def failing(*names):
    return engine_with(lambda name, _: FakeRun(7 if name in names else 0, stdout=f"{name} says\n".encode()))


TWO = (stalk("base", "apt"), stalk("db", "pg", "tune", parent="base"), stalk("web", "nginx", parent="base"))


def test_a_failed_step_blocks_only_what_grows_on_it():
    """Web is built although db, its neighbour on the same base, failed."""
    engine = failing("pg")

    ran = run(tree(*TWO), engine, keep_going=True)

    assert set(ran.result.done) == {"base:apt", "web:nginx"}
    assert ran.result.failed == ["db:pg"]
    assert {(event.step, event.cause) for event in ran.of(events.StepBlocked)} == {
        ("db:tune", "db:pg failed")
    }
    assert ran.result.exit_code == 1


def test_no_container_is_left_whatever_happens():
    engine = failing("b")

    run(tree(stalk("root", "a", "b"), stalk("x", "c", parent="root")), engine)

    assert engine.live == {}


def test_an_engine_that_goes_away_ends_the_run_with_3_and_names_the_step():
    engine = engine_with()

    def program(name, _):
        if name == "b":
            engine.is_gone = True
        return FakeRun()

    engine._program = program

    ran = run(tree(stalk("root", "a", "b", "c")), engine)

    assert ran.result.exit_code == 3
    assert isinstance(ran.result.error, NoEngine)
    assert ran.result.error.brief.startswith("root:b: ")
    assert ran.result.done == ["root:a"]


def test_a_full_disk_is_a_clear_error_and_leaves_no_tag():
    engine = engine_with()
    commit = engine.commit

    def full(container, repository, tag, *rest, **more):
        if tag == "b":
            raise EngineFull("could not commit: the engine's disk is full", "", "make room")
        return commit(container, repository, tag, *rest, **more)

    engine.commit = full

    ran = run(tree(stalk("root", "a", "b")), engine)

    ended = ran.of(events.StepFinished)[-1]
    assert (ended.brief, ended.resolution) == ("could not commit: the engine's disk is full", "make room")
    assert engine.image(f"{PREFIX}/root:b") is None
    assert ran.result.exit_code == 1


def test_independent_stalks_run_at_the_same_time():
    together = threading.Barrier(2, timeout=5)

    def program(name, _):
        if name in {"b", "c"}:
            together.wait()
        return FakeRun()

    ran = run(
        tree(stalk("root", "a"), stalk("x", "b", parent="root"), stalk("y", "c", parent="root")),
        engine_with(program),
        jobs=2,
    )

    assert ran.result.exit_code == 0


def test_a_disk_that_is_full_from_the_start_is_told():
    """The first thing that needs room is the name of the stalk's first image."""

    class Full(FakeEngine):
        def tag(self, image, name):
            if name.endswith(":initial"):
                raise EngineFull(f"could not tag {name}: the engine's disk is full", "", "make room")
            super().tag(image, name)

    engine = Full()
    engine.add_image(BASE)

    ran = run(tree(stalk("root", "a", "b")), engine)

    (told,) = ran.of(events.StepFinished)
    assert (told.step, told.state, told.resolution) == ("root:a", "failed", "make room")
    assert "disk is full" in told.brief


def test_a_bug_in_a_worker_is_told_as_one():
    """Not `1 failed` and silence."""

    class Odd(FakeEngine):
        def create(self, spec):
            raise ZeroDivisionError("odd")

    engine = Odd()
    engine.add_image(BASE)

    ran = run(tree(stalk("root", "a")), engine)

    (told,) = ran.of(events.StepFinished)
    assert "ZeroDivisionError" in told.brief
    assert told.details == "this is a bug in stalker"


def test_little_of_what_a_stalk_writes_is_stored_again():
    """A session may serve on for a step when that repeats few of the bytes written so far."""
    engine = engine_with(lambda name, _: FakeRun(writes={f"/{name}": b"x" * (3 << 20)}))

    run(tree(stalk("root", *(f"s{n}" for n in range(20)))), engine)

    stored = sum(
        sum(
            len(data)
            for path, data in engine.files[image.id].items()
            if path not in engine.files[image.parent_id]
        )
        for image in engine.images_by_id.values()
        if image.parent_id
    )
    assert stored <= 1.3 * 20 * (3 << 20)
    assert engine.calls["create"] < 20


def test_the_same_work_in_two_stalks_runs_once_and_both_have_their_names():
    """Variants share all steps up to the first in which they differ, in one run too."""
    engine = FakeEngine()
    engine.add_image(BASE)
    made = tree(stalk("a", "one", "two"), stalk("v", "one", "two"))

    ran = run(made, engine)

    assert engine.scripts == ["one", "two"]
    assert sorted(ran.result.done) == ["a:one", "a:two"]
    assert sorted(ran.result.shared) == ["v:one", "v:two"]
    for name in ("initial", "one", "two", "final"):
        assert engine.image(f"{PREFIX}/v:{name}").id == engine.image(f"{PREFIX}/a:{name}").id
    assert [(event.step, event.reason, event.shared_with) for event in ran.of(events.StepReused)] == [
        ("v:one", "the same work as a:one, which ran", "a:one"),
        ("v:two", "the same work as a:two, which ran", "a:two"),
    ]
    assert ran.reasons["v:one"] == "not built yet; a:one is the same work, which runs once"
    assert set(run(made, engine).verdicts.values()) == {"REUSE"}


def test_a_variant_goes_on_alone_where_it_differs():
    engine = FakeEngine()
    engine.add_image(BASE)

    ran = run(tree(stalk("a", "one", "two"), stalk("v", "one", step("two", "other\n"))), engine)

    assert engine.scripts.count("one") == 1
    assert engine.scripts.count("two") == 2
    assert ran.result.exit_code == 0
    first = engine.image(f"{PREFIX}/v:two")
    assert made_from(first)["v:one"] == commit_of(engine.image(f"{PREFIX}/a:one"))


def test_a_cancelled_run_ends_its_steps_and_keeps_what_was_committed():
    """Whatever thread cancels it; the next run goes on from there."""
    cancel = Cancel()

    def program(name, _):
        if name == "b":
            cancel.set()
        return FakeRun()

    engine = engine_with(program)
    ran = run(tree(stalk("root", "a", "b", "c")), engine, cancel=cancel)

    assert ran.result.done[0] == "root:a"
    assert "root:c" in ran.result.blocked
    assert isinstance(ran.result.error, Interrupted)
    assert ran.result.exit_code == 130
    assert engine.live == {}
