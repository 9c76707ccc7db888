"""The end of `stalker plan`: what will run, what is reused, how long it takes."""

from __future__ import annotations

import pytest

from build import BASE, plan, run, stalk, step, tree
from stalker.cli.commands.plan import estimate_s, summary
from stalker.engine.fake import FakeEngine


@pytest.fixture
def engine():
    made = FakeEngine()
    made.add_image(BASE)
    return made


def chain(*names, serial=1):
    return tree(stalk("root", *(step(name, variables={"SERIAL": serial}) for name in names)))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((), ("a", "b"), "2 to run, 0 reused; how long it takes is not known yet"),
        (("a", "b"), ("a", "b"), "nothing to do: all 2 steps are there"),
        (("a",), ("a",), "nothing to do: the step is there"),
    ],
)
def test_a_plan_ends_with_what_is_to_do(engine, before, now, said):
    """The last line counts; it says how long only where an earlier run told."""
    if before:
        run(chain(*before), engine)

    drawn = plan(chain(*now), engine)

    assert summary(drawn, estimate_s(drawn, 2)) == said


@pytest.mark.parametrize(
    ("names", "said"),
    [(("a", "b"), "and 1 step that never ran"), (("a", "b", "c"), "and 2 steps that never ran")],
)
def test_steps_that_never_ran_are_counted_beside_the_estimate(engine, names, said):
    """A changed step has run before, the new ones below it have not."""
    run(chain("a"), engine)

    drawn = plan(chain(*names, serial=2), engine)

    assert summary(drawn, estimate_s(drawn, 2)).endswith(said)
