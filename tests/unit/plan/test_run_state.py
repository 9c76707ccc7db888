"""Random orders of events never start a step before its inputs and never run one twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.plan.run_state import (
    Block,
    Failed,
    Finish,
    Release,
    RunState,
    Start,
    StopAsked,
    Succeeded,
    Take,
    Taken,
)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    names = [f"s{n}" for n in range(count)]
    return {
        name: tuple(draw(st.sets(st.sampled_from(names[:n]), max_size=3))) if n else ()
        for n, name in enumerate(names)
    }


@given(graphs(), st.integers(1, 4), st.booleans(), st.integers(0, 2**32))
def test_any_order_of_events_keeps_the_rules(inputs, jobs, keep_going, seed):
    chance = random.Random(seed)
    state = RunState(inputs, {}, jobs=jobs, keep_going=keep_going)
    started, done, ended, blocked = [], set(), 0, []
    instructions = state.start()
    while True:
        for instruction in instructions:
            if isinstance(instruction, Start):
                assert instruction.step not in started
                assert done.issuperset(inputs[instruction.step])
                started.append(instruction.step)
            elif isinstance(instruction, Block):
                blocked.append(instruction.step)
            else:
                ended += 1
        assert len(state.running) <= jobs
        if not state.running:
            break
        if chance.random() < 0.1:
            instructions = state.handle(StopAsked("enough"))
            continue
        step = chance.choice(state.running)
        if chance.random() < 0.25:
            instructions = state.handle(Failed(step))
        else:
            done.add(step)
            instructions = state.handle(Succeeded(step))

    assert ended == 1
    assert sorted([*started, *blocked]) == sorted(inputs)
    assert len(set(blocked)) == len(blocked)


def table(**inputs):
    return {name: tuple(before) for name, before in inputs.items()}


def test_the_longest_way_to_go_is_started_first():
    state = RunState(table(a="", b="", c=""), {"a": 1.0, "b": 9.0, "c": 5.0}, jobs=2, keep_going=False)

    assert state.start() == [Start("b"), Start("c")]
    assert state.handle(Succeeded("c")) == [Start("a")]


def test_a_failure_lets_what_runs_finish_and_starts_nothing_new():
    state = RunState(table(a="", b="", c="b", d=""), {}, jobs=2, keep_going=False)
    state.start()

    assert state.handle(Failed("a")) == []
    assert state.handle(Succeeded("b")) == [Block("c", "a failed"), Block("d", "a failed"), Finish()]


def test_keep_going_blocks_only_what_grows_on_the_failure():
    state = RunState(table(a="", b="a", c="b", d=""), {}, jobs=1, keep_going=True)
    state.start()

    assert state.handle(Failed("a")) == [Block("b", "a failed"), Block("c", "a failed"), Start("d")]
    assert state.handle(Succeeded("d")) == [Finish()]


def test_an_event_about_a_step_that_does_not_run_is_refused():
    state = RunState(table(a="", b="a"), {}, jobs=1, keep_going=False)
    state.start()

    with pytest.raises(ValueError, match="b is waiting, not running"):
        state.handle(Succeeded("b"))


def test_nothing_to_do_is_finished_at_once():
    assert RunState({}, {}, jobs=1, keep_going=False).start() == [Finish()]


def test_a_stop_is_the_cause_of_what_does_not_run_any_more():
    """A step that was cancelled did not fail."""
    state = RunState(table(a="", b="a"), {}, jobs=1, keep_going=True)
    state.start()
    state.handle(StopAsked("the user stopped the run"))

    assert state.handle(Failed("a")) == [Block("b", "the user stopped the run"), Finish()]


def locked(**stores):
    return {stalk: frozenset(names.split()) for stalk, names in stores.items()}


X_AND_Y = {"a:1": (), "a:2": ("a:1",), "b:1": (), "c:1": ()}


def of_stores(inputs, stores, *, jobs=4, keep_going=True):
    return RunState(inputs, {}, jobs=jobs, keep_going=keep_going, stores=stores)


def test_a_stalk_has_its_locked_stores_from_its_first_step_to_its_last():
    """Another stalk that locks one of them waits for the whole stalk; others do not."""
    state = of_stores(X_AND_Y, locked(a="x", b="x"))

    assert state.start() == [Take("a", ("x",)), Start("c:1")]
    assert state.handle(Taken("a")) == [Start("a:1")]
    assert state.handle(Succeeded("c:1")) == []
    assert state.handle(Succeeded("a:1")) == [Start("a:2")]
    assert state.handle(Succeeded("a:2")) == [Release("a"), Take("b", ("x",))]
    assert state.handle(Taken("b")) == [Start("b:1")]
    assert state.handle(Succeeded("b:1")) == [Release("b"), Finish()]


def test_two_stores_are_taken_at_once_and_in_order():
    """A stalk never holds one while another stalk of the run holds the other."""
    state = of_stores(X_AND_Y, locked(a="y x", b="x", c="y"))

    assert state.start() == [Take("a", ("x", "y"))]
    state.handle(Taken("a"))
    state.handle(Succeeded("a:1"))
    assert state.handle(Succeeded("a:2")) == [Release("a"), Take("b", ("x",)), Take("c", ("y",))]


def test_waiting_for_another_run_takes_no_place_among_the_jobs():
    """One job at a time is left to stalks that need no store, and to the one that has its own first."""
    state = of_stores({**X_AND_Y, "d:1": ()}, locked(a="x"), jobs=1)

    assert state.start() == [Take("a", ("x",)), Start("b:1")]
    assert state.handle(Taken("a")) == []
    assert state.handle(Succeeded("b:1")) == [Start("a:1")]
    assert state.handle(Succeeded("a:1")) == [Start("a:2")]


def test_a_failed_stalk_releases_its_stores():
    """What grows on the failure is blocked first."""
    state = of_stores({"a:1": (), "a:2": ("a:1",), "b:1": ()}, locked(a="x", b="x"))
    state.start()
    state.handle(Taken("a"))

    assert state.handle(Failed("a:1")) == [Block("a:2", "a:1 failed"), Release("a"), Take("b", ("x",))]


def test_after_a_failure_without_keep_going_nobody_waits_for_a_store():
    state = of_stores({"a:1": (), "b:1": (), "b:2": ("b:1",)}, locked(a="x", b="y"), keep_going=False)
    state.start()
    state.handle(Taken("b"))

    assert state.handle(Failed("b:1")) == [
        Block("b:2", "b:1 failed"),
        Release("a"),
        Release("b"),
        Block("a:1", "b:1 failed"),
        Finish(),
    ]


def test_a_stop_ends_the_wait_for_a_store():
    """Its answer may have been on the way."""
    state = of_stores({"a:1": ()}, locked(a="x"))
    state.start()
    assert not state.is_over

    assert state.handle(StopAsked("enough")) == [Release("a"), Block("a:1", "enough"), Finish()]
    assert state.is_over
    assert state.handle(Taken("a")) == []


@st.composite
def stalks(draw):
    """Stalks of steps in a row; the first step of each waits for steps of stalks before it."""
    inputs = {}
    for number in range(draw(st.integers(1, 6))):
        before = tuple(draw(st.sets(st.sampled_from(sorted(inputs)), max_size=2))) if inputs else ()
        for position in range(draw(st.integers(1, 3))):
            name = f"s{number}:{position}"
            inputs[name], before = before, (name,)
    return inputs


@given(
    stalks(),
    st.lists(st.sets(st.sampled_from("xyz")), min_size=6, max_size=6),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_no_two_stalks_have_one_store_and_all_come_to_their_end(inputs, wanted, jobs, keep_going, seed):
    """Whatever the order of events, and however long another run has a store."""
    chance = random.Random(seed)
    stores = {f"s{number}": frozenset(names) for number, names in enumerate(wanted) if names}
    state = RunState(inputs, {}, jobs=jobs, keep_going=keep_going, stores=stores)
    asked, held, done, ended, has_failed = [], set(), set(), [], False
    instructions = state.start()
    while True:
        for instruction in instructions:
            if isinstance(instruction, Take):
                asked.append(instruction.stalk)
                assert frozenset(instruction.stores) == stores[instruction.stalk]
                others = [stores[stalk] for stalk in {*held, *asked} - {instruction.stalk}]
                assert all(stores[instruction.stalk].isdisjoint(other) for other in others)
            elif isinstance(instruction, Release):
                held.discard(instruction.stalk)
                asked = [stalk for stalk in asked if stalk != instruction.stalk]
                assert not [one for one in state.running if one.startswith(f"{instruction.stalk}:")]
            elif isinstance(instruction, Start):
                stalk = instruction.step.partition(":")[0]
                assert stalk in held or stalk not in stores
            elif isinstance(instruction, Finish):
                ended.append(instruction)
        assert len(state.running) <= jobs
        if state.is_over:
            break
        events = [*state.running, *asked]
        event = chance.choice(events)
        if event in asked:
            asked.remove(event)
            held.add(event)
            instructions = state.handle(Taken(event))
        elif chance.random() < 0.1:
            has_failed = True
            instructions = state.handle(Failed(event))
        else:
            done.add(event)
            instructions = state.handle(Succeeded(event))

    assert len(ended) == 1
    assert held == set()
    assert has_failed or done == set(inputs)


# The same work twice


def answers(state, *events):
    """Return what the machine says at the start and to each event."""
    return [state.start(), *(state.handle(event) for event in events)]


TWICE = table(a=[], v=[], a2=["a"], v2=["v"])
WORKS = {"a": "1", "v": "1", "a2": "2", "v2": "3"}


def twice(*, jobs=4, keep_going=False, inputs=TWICE, works=WORKS):
    return RunState(inputs, {}, jobs=jobs, keep_going=keep_going, works=works)


def test_the_same_work_runs_once_and_the_other_takes_what_it_left():
    """Two variants share their first step: it is one job, and each goes on by itself."""
    assert answers(twice(), Succeeded("a"), Succeeded("v"), Succeeded("a2"), Succeeded("v2")) == [
        [Start("a")],
        [Start("v", "a"), Start("a2")],
        [Start("v2")],
        [],
        [Finish()],
    ]


def test_a_row_of_the_same_work_is_shared_step_by_step():
    works = {**WORKS, "v2": "2"}

    assert answers(twice(works=works), Succeeded("a"), Succeeded("v"), Succeeded("a2"), Succeeded("v2")) == [
        [Start("a")],
        [Start("v", "a"), Start("a2")],
        [],
        [Start("v2", "a2")],
        [Finish()],
    ]


def test_what_becomes_ready_later_takes_what_was_left_before():
    inputs = table(a=[], x=[], v=["x"])

    assert answers(
        twice(inputs=inputs, works={"a": "1", "v": "1"}), Succeeded("a"), Succeeded("x"), Succeeded("v")
    ) == [[Start("a"), Start("x")], [], [Start("v", "a")], [Finish()]]


def test_waiting_for_the_same_work_takes_no_slot():
    """With two jobs the third step runs beside the first."""
    inputs = table(a=[], v=[], b=[])

    assert twice(inputs=inputs, works={"a": "1", "v": "1", "b": "2"}, jobs=2).start() == [
        Start("a"),
        Start("b"),
    ]


def test_work_that_failed_is_not_tried_again_under_another_name():
    said = answers(twice(keep_going=True), Failed("a"))

    assert said == [
        [Start("a")],
        [
            Block("a2", "a failed"),
            Block("v", "a, which is the same work, failed"),
            Block("v2", "v failed"),
            Finish(),
        ],
    ]


def test_a_name_that_cannot_be_given_blocks_what_grows_on_it_alone():
    said = answers(twice(keep_going=True), Succeeded("a"), Failed("v"), Succeeded("a2"))

    assert said[2:] == [[Block("v2", "v failed")], [Finish()]]


def test_a_stop_while_one_waits_for_the_other_blocks_it():
    said = answers(twice(), StopAsked("enough"), Failed("a"))

    assert said[1:] == [
        [],
        [Block("a2", "enough"), Block("v", "enough"), Block("v2", "enough"), Finish()],
    ]


def test_the_states_say_what_became_of_each_step():
    """Done, done by another step of the run, cancelled, and what grows on that."""
    state = twice(keep_going=True)

    answers(state, Succeeded("a"), Succeeded("v"), Failed("a2", was_cancelled=True), Failed("v2"))

    assert state.states == {"a": "done", "v": "shared", "a2": "cancelled", "v2": "failed"}
