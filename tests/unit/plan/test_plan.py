"""A plan as data: what is to run, and what keeps steps from running."""

from build import stalk, tree
from stalker.model.images import Image
from stalker.plan.graph import link_steps
from stalker.plan.plan import Action, BaseAction, Plan


def plan(**verdicts):
    links = link_steps(tree(stalk("s", *verdicts)))
    actions = {link.id: Action(link, *verdicts[link.step.name]) for link in links}
    return Plan(links, {}, actions)


def test_the_steps_are_sorted_by_verdict():
    drawn = plan(a=("REUSE", "unchanged"), b=("RUN", "not built yet"), c=("BLOCKED", "no emulator"))

    assert [action.id for action in drawn.to_run] == ["s:b"]
    assert [action.id for action in drawn.blocked] == ["s:c"]


def test_each_obstacle_is_named_once_with_what_waits_for_it():
    """A step that is blocked by another one counts for the obstacle of that one."""
    links = link_steps(tree(stalk("s", "a", "b", "c"), stalk("t", "d")))
    made = {
        "s:a": Action(links.by_id["s:a"], "BLOCKED", "no emulator"),
        "s:b": Action(links.by_id["s:b"], "BLOCKED", "s:a is blocked", cause="s:a"),
        "s:c": Action(links.by_id["s:c"], "BLOCKED", "s:b is blocked", cause="s:b"),
        "t:d": Action(links.by_id["t:d"], "BLOCKED", "no emulator"),
    }

    assert Plan(links, {}, made).obstacles() == {"no emulator": (["s:a", "t:d"], 2)}


def test_a_base_is_what_its_image_is_else_what_is_remembered_of_it():
    """Empty while it is to be made."""
    known = Image("id", (), {}, diff_ids=("sha256:1",))

    assert BaseAction("s", "r/s:initial", "RUN", "").identity == ""
    assert BaseAction("s", "r/s:initial", "BLOCKED", "", remembered="what it was").identity == "what it was"
    assert BaseAction("s", "r/s:initial", "REUSE", "", known=known, remembered="old").identity not in {
        "",
        "old",
    }
