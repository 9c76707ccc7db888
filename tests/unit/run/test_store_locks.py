"""Locked stores: one stalk at a time, within a run and between runs."""

from __future__ import annotations

import os
import queue
import signal
import threading
import uuid
from contextlib import contextmanager

import pytest

from build import BASE, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import LockHeld
from stalker.model import events
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount
from stalker.plan.run_state import Taken
from stalker.run import store_locks
from stalker.run.lock import hold_names
from stalker.run.store_locks import StoreLocks

PLACE = Place("stalks/s/s.hjson", 9)


@pytest.fixture
def name():
    """A store's name that no other test has."""
    return f"store-{uuid.uuid4().hex[:8]}"


def mounted(*names, is_locked=True):
    return tuple(Mount(f"/cache/{name}", "store", name, True, PLACE, is_locked=is_locked) for name in names)


def engine_with(program):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


@contextmanager
def another_run_has(name):
    with hold_names("", [f"the store {name}"], "run other", wait=False, say=lambda _: None):
        yield


class Together:
    """Counts the stalks that run at the same time; a step waits a moment for another one to join."""

    def __init__(self, parties):
        self._barrier = threading.Barrier(parties, timeout=0.3)
        self.was_together = False

    def __call__(self, _name, _environment):
        try:
            self._barrier.wait()
            self.was_together = True
        except threading.BrokenBarrierError:
            self._barrier.reset()
        return FakeRun()


@pytest.mark.parametrize("is_locked", [True, False])
def test_stalks_that_lock_one_store_run_one_after_the_other(name, is_locked):
    """As apt does with its own; with mode rw they run at once."""
    program = Together(2)
    mounts = mounted(name, is_locked=is_locked)
    made = tree(*(stalk(one, step(f"{one}1", mounts=mounts)) for one in "ab"))

    ran = run(made, engine_with(program))

    assert set(ran.result.done) == {"a:a1", "b:b1"}
    assert program.was_together is not is_locked


class SlowToRemove(FakeEngine):
    """An engine that takes a moment for each removal, as Docker does."""

    def remove_container(self, container):
        threading.Event().wait(0.1)
        super().remove_container(container)


def test_containers_of_a_stalk_are_gone_before_the_next_one_has_its_store(name):
    """A service that is up writes there until its stalk ends."""
    seen = []

    def program(step, _environment):
        seen.append((step, {live.spec.name.split("-")[1] for live in engine.live.values()}))
        return FakeRun()

    engine = SlowToRemove(program)
    engine.add_image(BASE)
    mounts = mounted(name)
    made = tree(
        *(
            stalk(one, step(f"{one}1", mounts=mounts, daemonize=True), step(f"{one}2", mounts=mounts))
            for one in "ab"
        )
    )

    ran = run(made, engine)

    assert ran.result.exit_code == 0
    assert seen == [(step, {step[0]}) for step in ("a1", "a2", "b1", "b2")]


def test_stalks_that_lock_two_stores_in_either_order_both_end(name):
    both, reverse = mounted(f"{name}-x", f"{name}-y"), mounted(f"{name}-y", f"{name}-x")
    made = tree(
        *(stalk(one, step(f"{one}1", mounts=mounts)) for one, mounts in (("a", both), ("b", reverse)))
    )

    assert run(made, engine_with(lambda _name, _environment: FakeRun())).result.exit_code == 0


def test_a_store_of_another_run_is_waited_for(name):
    """Its name is said; what needs no store goes on meanwhile."""
    has_said, other_ran = threading.Event(), threading.Event()

    def on_event(event):
        if isinstance(event, events.Note) and "waiting for run other" in event.text:
            assert f"the store {name}" in event.text
            has_said.set()

    def program(step, _environment):
        if step == "b1":
            other_ran.set()
        ran.append(step)
        return FakeRun()

    ran = []
    made = tree(stalk("a", step("a1", mounts=mounted(name))), stalk("b", "b1"))
    results = []
    running = threading.Thread(
        target=lambda: results.append(run(made, engine_with(program), jobs=1, on_event=on_event))
    )
    with another_run_has(name):
        running.start()
        assert has_said.wait(10)
        assert other_ran.wait(10)
        assert ran == ["b1"]
    running.join(20)

    assert ran == ["b1", "a1"]
    assert results[0].result.exit_code == 0


def test_ctrl_c_ends_the_wait_for_a_store(name):
    """Nothing runs, and nothing would come."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread alone")

    def on_event(event):
        if isinstance(event, events.Note) and "waiting for run other" in event.text:
            os.kill(os.getpid(), signal.SIGINT)

    made = tree(stalk("a", step("a1", mounts=mounted(name))))
    with another_run_has(name):
        ran = run(made, engine_with(lambda _name, _environment: FakeRun()), on_event=on_event)

    assert ran.result.exit_code == 130
    assert ran.result.blocked == ["a:a1"]


def test_a_lock_that_cannot_be_had_ends_the_run(name, monkeypatch):
    """Such as without a directory for lock files."""

    def refuse(*_arguments, **_more):
        raise LockHeld("no directory for lock files", "", "")

    monkeypatch.setattr(store_locks, "hold_names", refuse)
    made = tree(stalk("a", step("a1", mounts=mounted(name))))

    ran = run(made, engine_with(lambda _name, _environment: FakeRun()))

    assert ran.result.error.brief == "no directory for lock files"
    assert ran.result.blocked == ["a:a1"]


def test_a_released_store_is_free_at_once(name):
    """When `release` returns another run can have it."""
    answers = queue.SimpleQueue()
    locks = StoreLocks("", "run x", print, answers.put)

    locks.take("a", (name,))
    assert answers.get(timeout=10) == Taken("a")
    with pytest.raises(LockHeld, match=f"the store {name} is being worked on by run x"):
        another_run_has(name).__enter__()
    locks.release("a")

    with another_run_has(name):
        locks.take("b", (name,))
        locks.close()  # it still waits
    assert answers.empty()
