from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.engine.interface import ContainerSpec
from stalker.images.prune import carry_out, draw_up
from stalker.images.prune_plan import Limits, Pruning
from stalker.model import labels
from stalker.model.tree import TagBase
from stalker.plan.graph import stalks_below
from unit.helpers.forest import NOW_S, PLACE, TREE, Forest, grown, stalk

if TYPE_CHECKING:
    from stalker.images.prune import Pruned

DAY_S = 86400.0


def plan(forest: Forest, stalk_name: str = "", **limits) -> Pruning:
    return draw_up(forest.engine, stalks_below(TREE, stalk_name), Limits(**limits), NOW_S)


def prune(forest: Forest, stalk_name: str = "", **limits) -> Pruned:
    pruning = plan(forest, stalk_name, **limits)
    return carry_out(forest.engine, pruning, {one.image.id for one in pruning.removals}, NOW_S)


def order(pruning: Pruning) -> list[str]:
    return [one.title.replace("os/arch/sub/", "") for one in pruning.removals]


def kept(pruning: Pruning) -> dict[str, str]:
    return {what.replace("os/arch/sub/", ""): why.replace("os/arch/sub/", "") for what, why in pruning.kept}


def test_a_tree_goes_children_first_and_its_base_stays():
    forest = grown()

    assert order(plan(forest)) == [
        "web:site, web:final",
        "web:nginx",
        "db:pg, db:final",
        "base:conf, base:final, web:initial, db:initial",
        "base:apt",
    ]
    prune(forest)
    assert forest.names() == {"base:initial"}


def test_a_stalk_goes_with_what_grows_on_it_and_its_initial_name():
    """Prune TREE web: the names of web go, what it started from stays under its own."""
    forest = grown()

    prune(forest, "web")

    assert forest.names() == {
        "base:initial",
        "base:apt",
        "base:conf",
        "base:final",
        "db:initial",
        "db:pg",
        "db:final",
    }


def test_a_dry_run_knows_how_much_room_it_makes():
    assert plan(grown()).freed_bytes == 500


@pytest.mark.parametrize(
    ("days", "left"),
    [
        (11, {"apt", "conf", "nginx", "site", "pg"}),
        (4, {"apt", "conf", "nginx", "site"}),
        (1, set()),
    ],
)
def test_older_than_leaves_what_young_ones_grow_on(days, left):
    """An old step stays, with its name, as long as a younger one that stays grows on it."""
    forest = grown()

    prune(forest, older_than_s=days * DAY_S)

    assert {name.partition(":")[2] for name in forest.names()} - {"initial", "final"} == left


def test_a_step_of_the_same_session_grows_on_the_one_before():
    """Both were committed from one container, so the engine does not know; the labels do."""
    forest = Forest()
    apt = forest.grow("base:apt", forest.base, age_days=10)
    forest.grow("base:conf", forest.base, after=apt, age_days=1)

    found = plan(forest, older_than_s=5 * DAY_S)

    assert found.removals == ()
    assert kept(found) == {"base:apt": "base:conf grows on it"}


def rebuilt() -> Forest:
    """Return a forest in which base was built three times."""
    forest = Forest()
    for age_days in (30, 20, 10):
        apt = forest.grow("base:apt", forest.base, age_days=age_days)
        conf = forest.grow("base:conf", apt, age_days=age_days)
        forest.tag(conf, "base:final")
    return forest


@pytest.mark.parametrize(("keep", "left"), [(3, 6), (2, 4), (1, 2), (0, 0)])
def test_keep_counts_old_builds_of_a_step(keep, left):
    """An old build is an image that lost its name to a newer one; the one with the name is the newest."""
    forest = rebuilt()

    prune(forest, keep=keep)

    assert len(forest.engine.images_by_id) == left + 1


def test_old_builds_go_before_named_ones():
    found = plan(rebuilt())

    assert [bool(one.names) for one in found.removals] == [False, False, True, False, False, True]
    assert found.removals[0].image.labels[labels.STEP] == "os/arch/sub/base:conf"


def test_keep_and_older_than_both_hold():
    forest = rebuilt()

    prune(forest, keep=1, older_than_s=25 * DAY_S)

    assert len(forest.engine.images_by_id) == 1 + 4


def test_failed_takes_only_failed_states():
    forest = grown()
    site = forest.engine.image("os/arch/sub/web:site")
    forest.fail("web:nginx", site)
    forest.fail("other:x", forest.base)
    before = forest.names()

    prune(forest, "web", failed_only=True)

    assert before - forest.names() == {"web:nginx.failed"}


def test_a_failed_state_goes_with_its_stalk():
    forest = grown()
    forest.fail("web:nginx", forest.engine.image("os/arch/sub/web:nginx"))

    prune(forest)

    assert forest.names() == {"base:initial"}


def test_what_others_derived_stays_and_is_told():
    """Their image inherits our labels, and still nobody may take it for ours."""
    forest = grown()
    forest.derive("mine/app:1", forest.engine.image("os/arch/sub/web:nginx"))

    found = plan(forest)
    prune(forest)

    assert kept(found)["web:nginx"] == (
        "its layers stay: mine/app:1, which stalker did not make, grows on it"
    )
    assert forest.names() == {"base:initial", "mine/app:1"}
    assert "mine/app:1" not in order(found)


def test_a_name_that_others_gave_stays():
    forest = grown()
    site = forest.engine.image("os/arch/sub/web:site")
    forest.tag(site, "mine/release:1")

    found = plan(forest)
    prune(forest)

    assert "also named mine/release:1" in " ".join(kept(found).values())
    assert forest.names() == {"base:initial", "mine/release:1"}
    assert forest.engine.image("mine/release:1").id == site.id


def test_what_a_container_uses_stays_with_all_below():
    forest = grown()
    nginx = forest.engine.image("os/arch/sub/web:nginx")
    forest.engine.create(ContainerSpec(image=nginx.id, name="busy", labels={}))

    found = plan(forest)
    prune(forest)

    assert kept(found)["web:nginx"].endswith("uses it")
    assert forest.names() >= {"web:nginx", "base:conf", "base:apt"}
    assert forest.names().isdisjoint({"web:site", "db:pg"})


def test_another_tree_that_grows_on_it_keeps_it_with_its_name():
    forest = grown()
    pg = forest.engine.image("os/arch/sub/db:pg")
    forest.grow("foreign:step", pg)

    found = plan(forest)

    assert kept(found)["db:pg, db:final"] == "foreign:step grows on it"
    assert "base:apt" not in order(found)


def test_bases_go_only_when_asked_and_when_nothing_else_is_on_them():
    forest = grown()
    forest.grow("other:x", forest.base)
    forest.tag(forest.base, "other:initial")

    prune(forest, "base", bases=True)
    after_first = forest.names()
    prune(forest, bases=True)

    assert after_first == {"other:x", "other:initial"}
    assert forest.engine.images_by_id == {}


def test_a_base_goes_with_its_tree_when_asked():
    forest = grown()

    prune(forest, bases=True)

    assert forest.engine.images_by_id == {}


def test_a_base_goes_after_its_steps_did():
    """A prune says that --bases takes it too, and then that has to do so."""
    forest = grown()
    prune(forest)
    assert forest.names() == {"base:initial"}

    assert plan(forest).removals == ()
    prune(forest, bases=True)

    assert forest.engine.images_by_id == {}


@pytest.mark.parametrize("limits", [{"failed_only": True}, {"older_than_s": 60 * DAY_S}])
def test_the_limits_are_for_a_base_that_is_left_over_too(limits):
    """It is 50 days old, and no failed state."""
    forest = grown()
    prune(forest)

    assert plan(forest, bases=True, **limits).removals == ()


def test_a_left_over_base_stays_while_something_is_on_it():
    forest = grown()
    prune(forest)
    forest.grow("foreign:x", forest.base)

    found = plan(forest, bases=True)

    assert found.removals == ()
    assert kept(found) == {"base:initial": "foreign:x grows on it"}


def foreign_base(name: str, *more: str) -> Forest:
    forest = Forest()
    forest.engine.images_by_id.clear()
    image = forest.engine.add_image(name)
    for tag in more:
        forest.tag(image, tag)
    forest.base = forest.engine.image(name)
    forest.grow("base:apt", forest.base)
    return forest


@pytest.mark.parametrize("bases", [True, False])
def test_an_image_of_a_registry_loses_only_the_name_we_gave_it(bases):
    forest = foreign_base("debian:bookworm", "base:initial")

    prune(forest, bases=bases)

    assert forest.names() == {"debian:bookworm"}


@pytest.mark.parametrize("bases", [True, False])
def test_an_image_that_a_user_put_there_under_our_name_stays(bases):
    """hello_world:initial, tagged by hand, is the user's own and has no other name."""
    forest = foreign_base("os/arch/sub/base:initial")

    found = plan(forest, bases=bases)
    prune(forest, bases=bases)

    assert "stalker did not make it" in kept(found)["base:initial"]
    assert forest.names() == {"base:initial"}


def test_an_initial_name_that_the_tree_itself_asks_for_stays():
    forest = foreign_base("debian:bookworm", "base:initial")
    own = stalk("base", "apt", bases=(TagBase("os/arch/sub/base:initial", PLACE),))

    found = draw_up(forest.engine, [own], Limits(), NOW_S)

    assert [one.title for one in found.removals] == ["os/arch/sub/base:apt"]


def test_a_half_made_image_goes_with_the_step_that_grew_on_it():
    """A stalk with mounts is committed twice; nobody sees the first of the two."""
    forest = Forest()
    half = forest.add("", {labels.TEMPORARY: "20261121-020304-aaaaaa-1"}, forest.base.id, "", 1)
    forest.grow("base:apt", half)

    prune(forest)

    assert half.id not in forest.engine.images_by_id


def variants() -> Forest:
    """Return two variants of a stalk that share their first step: `db:pg` is `web:pg` too."""
    forest = Forest()
    shared = forest.grow("web:pg", forest.base, age_days=9)
    forest.tag(shared, "db:pg")
    for name in ("web", "db"):
        last = forest.grow(f"{name}:own", shared, age_days=3)
        forest.tag(last, f"{name}:final")
        forest.tag(forest.base, f"{name}:initial")
    return forest


@pytest.mark.parametrize(("gone", "left"), [("web", "db"), ("db", "web")])
def test_of_two_variants_each_goes_for_itself(gone, left):
    """What they share loses one name and stays for the other, whichever of them made it."""
    forest = variants()

    prune(forest, gone)

    assert forest.names() == {"base:initial", f"{left}:initial", f"{left}:pg", f"{left}:own", f"{left}:final"}


def test_both_variants_go_with_all_they_share():
    forest = variants()

    prune(forest)

    assert forest.names() == {"base:initial"}
    assert list(forest.engine.images_by_id) == [forest.base.id]


def test_what_a_young_step_of_a_variant_grows_on_keeps_its_name():
    forest = variants()

    prune(forest, "db", older_than_s=5 * DAY_S)

    assert {"db:pg", "db:own"} <= forest.names()


def test_stalks_that_start_from_an_image_of_another_are_below_it():
    tree = replace(
        TREE, stalks=(*TREE.stalks, stalk("late", "z", bases=(TagBase("os/arch/sub/db:final", PLACE),)))
    )

    assert [one.name for one in stalks_below(tree, "db")] == ["db", "late"]
    assert [one.name for one in stalks_below(tree, "base")] == ["base", "web", "db", "late"]
    with pytest.raises(KeyError):
        stalks_below(tree, "nothing")


STEPS = ["base:apt", "base:conf", "web:nginx", "web:site", "db:pg", "foreign:s"]


@given(data=st.data())
def test_whatever_grew_nothing_foreign_goes_and_no_child_loses_its_parent(data):
    """Over random forests: strangers keep image and name, and what stays keeps what it grows on."""
    forest = Forest()
    there = [forest.base]
    strangers = {}
    for number in range(data.draw(st.integers(1, 10))):
        on = data.draw(st.sampled_from(there))
        kind = data.draw(st.sampled_from(["step", "step", "failed", "derived", "tagged"]))
        age_days = data.draw(st.integers(0, 20))
        if kind == "step":
            there.append(forest.grow(data.draw(st.sampled_from(STEPS)), on, age_days=age_days))
        elif kind == "failed":
            forest.fail(data.draw(st.sampled_from(STEPS[:-1])), on, age_days=age_days)
        elif kind == "derived":
            there.append(forest.derive(f"mine/d{number}:1", on))
            strangers[f"mine/d{number}:1"] = there[-1].id
        else:
            forest.tag(on, f"mine/t{number}:1")
            strangers[f"mine/t{number}:1"] = on.id
    limits = {
        "keep": data.draw(st.none() | st.integers(0, 2)),
        "older_than_s": data.draw(st.none() | st.just(10 * DAY_S)),
        "failed_only": data.draw(st.booleans()),
        "bases": data.draw(st.booleans()),
    }

    stalk_name = data.draw(st.sampled_from(["", "base", "web"]))

    done = prune(forest, stalk_name, **limits)

    left = forest.engine.images_by_id
    assert done.refused == ()
    assert {name: forest.engine.image(name).id for name in strangers} == strangers
    assert all(not image.parent_id or image.parent_id in left for image in left.values())
    assert plan(forest, stalk_name, **limits).removals == (), "a second prune has nothing left to do"


# what shells left


def test_what_a_shell_left_goes_before_the_step_it_grew_on():
    forest = grown()
    forest.keep("web:mine", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")

    pruning = plan(forest, "web")

    assert order(pruning)[:3] == ["web:site, web:final", "web:mine", "web:nginx"]


@pytest.mark.parametrize(
    ("limits", "goes"),
    [({}, True), ({"keep": 1}, False), ({"failed_only": True}, False), ({"older_than_s": 3 * DAY_S}, False)],
)
def test_the_limits_are_for_what_a_shell_left_too(limits, goes):
    """A tag that somebody gave by hand is not an old build."""
    forest = grown()
    forest.keep("web:mine", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")
    forest.keep("web:his", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")

    assert ({"web:mine", "web:his"} <= set(order(plan(forest, **limits)))) == goes


def test_what_a_shell_left_without_a_tag_is_an_old_build():
    """The same tag was given again: the former image has no name, and --keep 1 takes it."""
    forest = grown()
    nginx = forest.engine.image("os/arch/sub/web:nginx")
    former = forest.keep("web:mine", nginx, "web:nginx")
    forest.keep("web:mine", nginx, "web:nginx")

    (removal,) = plan(forest, keep=1).removals

    assert removal.image.id == former.id
    assert removal.what == "what a shell left, its tag was given to another"


def test_a_failed_state_stays_while_what_a_shell_left_grows_on_it():
    forest = grown()
    failed = forest.fail("web:site", forest.engine.image("os/arch/sub/web:nginx"))
    forest.keep("web:mine", failed, "web:site")

    assert kept(plan(forest, failed_only=True)) == {"web:site.failed": "web:mine grows on it"}


def test_what_others_derived_from_what_a_shell_left_is_not_ours():
    forest = grown()
    mine = forest.keep("web:mine", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")
    forest.derive("other/x:1", mine)

    prune(forest, "web")

    assert "other/x:1" in forest.names()
