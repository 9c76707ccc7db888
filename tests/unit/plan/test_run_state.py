"""Random orders of events never start a step before its inputs and never run one twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.plan.run_state import Block, Failed, Finish, RunState, Start, StopAsked, Succeeded


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
