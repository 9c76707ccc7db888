"""Verdicts and reasons: state of the engine in, exact plan out."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from build import BASE, PREFIX, plan, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import PlanError
from stalker.model import labels
from stalker.model.images import short_id
from stalker.model.tree import ImageBase, TagBase
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps
from stalker.plan.image_index import ImageIndex, made_from
from stalker.plan.verdicts import make_plan, select


@pytest.fixture
def engine():
    made = FakeEngine()
    made.add_image(BASE)
    return made


def chain(**variables):
    return tree(
        stalk("root", step("a", variables=variables), "b"),
        stalk("left", "c", parent="root"),
        stalk("right", "d", parent="root", needs=["left"]),
    )


def verdicts(drawn):
    return {name: (action.verdict, action.reason) for name, action in drawn.actions.items()}


def test_a_first_plan_runs_everything(engine):
    found = verdicts(plan(chain(), engine))

    assert found == {
        "root:a": ("RUN", "not built yet"),
        "root:b": ("RUN", "not built yet"),
        "left:c": ("RUN", "not built yet"),
        "right:d": ("RUN", "not built yet"),
    }


def failing(*steps):
    """An engine on which some scripts fail."""
    made = FakeEngine(lambda name, _environment: FakeRun(3 if name in steps else 0))
    made.add_image(BASE)
    return made


def test_a_step_that_failed_as_it_is_now_is_told_with_its_run():
    """Nothing of it has changed since, so it may fail again."""
    engine = failing("b")
    run(chain(), engine)

    found = verdicts(plan(chain(), engine))

    failed = engine.image(f"{PREFIX}/root:b.failed")
    assert found["root:b"] == ("RUN", f"it failed in run {failed.labels[labels.RUN]}")
    assert found["left:c"] == ("RUN", "not built yet")


def test_a_step_that_was_mended_since_it_failed_is_not_built_yet():
    """What failed was made of something else."""
    engine = failing("a")
    run(chain(V=1), engine)

    assert verdicts(plan(chain(V=2), engine))["root:a"] == ("RUN", "not built yet")


def test_a_change_at_the_root_is_told_where_it_is_and_passed_on(engine):
    """Each step names the nearest one that makes it run again."""
    run(chain(V=1), engine)

    found = verdicts(plan(chain(V=2), engine))

    assert found == {
        "root:a": ("RUN", "variable V: 1 -> 2"),
        "root:b": ("RUN", "parent root:a ran"),
        "left:c": ("RUN", "parent root:b ran"),
        "right:d": ("RUN", "parent root:b ran; needs left:c ran"),
    }


def test_a_second_run_of_an_unchanged_tree_runs_nothing(engine):
    run(chain(), engine)

    ran = run(chain(), engine)

    assert set(ran.verdicts.values()) == {"REUSE"}
    assert engine.scripts == ["a", "b", "c", "d"]


def test_a_change_runs_exactly_that_step_and_what_grows_on_it(engine):
    run(chain(), engine)
    changed = tree(
        stalk("root", "a", "b"),
        stalk("left", step("c", "echo other\n"), parent="root"),
        stalk("right", "d", parent="root", needs=["left"]),
    )

    found = verdicts(plan(changed, engine))

    assert found == {
        "root:a": ("REUSE", "unchanged"),
        "root:b": ("REUSE", "unchanged"),
        "left:c": ("RUN", "script changed (stalks/s/s.hjson:3)"),
        "right:d": ("RUN", "needs left:c ran"),
    }


def test_a_changed_variable_is_told_with_both_values(engine):
    run(chain(CONFIG_SERIAL=1), engine)

    found = verdicts(plan(chain(CONFIG_SERIAL=2), engine))

    assert found["root:a"] == ("RUN", "variable CONFIG_SERIAL: 1 -> 2")


def test_going_back_to_an_earlier_input_reuses_the_earlier_image(engine):
    run(chain(V=1), engine)
    run(chain(V=2), engine)

    drawn = plan(chain(V=1), engine)

    assert {action.verdict for action in drawn.actions.values()} == {"REUSE"}
    assert drawn.actions["root:a"].names


def test_another_base_runs_all_that_grows_on_it(engine):
    run(chain(), engine)
    engine.add_image(BASE)

    found = verdicts(plan(chain(), engine))

    assert found["root:a"][0] == "RUN"
    assert found["root:a"][1].startswith("base image is another one: ")


def test_from_runs_again_from_there(engine):
    run(chain(), engine)

    found = verdicts(plan(chain(), engine, start="left"))

    assert found["root:b"] == ("REUSE", "unchanged")
    assert found["left:c"] == ("RUN", "asked for by --from left:c")
    assert found["right:d"][0] == "RUN"


def test_an_interrupted_from_goes_on_with_what_grew_on_the_old_image(engine):
    """root:a was run again; what grew on its former image is not taken for current."""
    run(chain(), engine)
    run(chain(), engine, start="root:a", until="root:a")

    found = verdicts(plan(chain(), engine))

    assert found["root:a"] == ("REUSE", "unchanged")
    assert found["root:b"][0] == "RUN"
    assert found["root:b"][1].startswith("root:a was run again since")


def test_until_leaves_out_what_comes_after(engine):
    drawn = plan(chain(), engine, until="root")

    assert list(drawn.actions) == ["root:a", "root:b"]


def test_only_takes_all_else_as_it_is_committed(engine):
    run(chain(V=1), engine)

    found = verdicts(plan(chain(V=2), engine, only="left"))

    assert found["root:b"] == ("REUSE", "taken as it is committed")
    assert found["left:c"][0] == "REUSE"


def test_only_without_a_committed_parent_is_blocked(engine):
    found = verdicts(plan(chain(), engine, only="left"))

    assert found["root:b"] == (
        "BLOCKED",
        f"left:c starts from {PREFIX}/root:b, which is not in the engine",
    )
    assert found["left:c"] == ("BLOCKED", "root:b is blocked")


def test_no_cache_runs_everything(engine):
    run(chain(), engine)

    found = verdicts(plan(chain(), engine, no_cache=True))

    assert {verdict for verdict, _ in found.values()} == {"RUN"}
    assert found["root:a"][1] == "asked for by --no-cache"


def test_pretend_takes_committed_tags_whatever_made_them(engine):
    engine.add_image(f"{PREFIX}/root:b")
    made = tree(stalk("root", "a", "b", pretend=True), stalk("left", "c", parent="root"))

    found = verdicts(plan(made, engine))

    assert found["root:a"] == ("REUSE", f"there is no {PREFIX}/root:a, and nothing asks for it")
    assert found["root:b"] == ("REUSE", "taken as it is committed")
    assert found["left:c"][0] == "RUN"


def test_what_somebody_made_of_a_taken_step_is_not_its_work(engine):
    """It has the labels of the step, but what grew on the step's image is not taken for current on it."""
    run(chain(), engine)
    image = engine.image(f"{PREFIX}/root:b")
    derived = engine.add_image(labels=image.labels, parent=image.id)
    engine.tag(derived.id, f"{PREFIX}/root:b")

    drawn = plan(chain(), engine, only="left")

    taken, grown = drawn.actions["root:b"], drawn.actions["left:c"]
    assert (taken.verdict, taken.image, taken.commit, taken.made_as) == ("REUSE", derived.id, derived.id, "")
    assert grown.verdict == "RUN"
    assert grown.fingerprint != engine.image(f"{PREFIX}/left:c").labels[labels.FINGERPRINT]


def test_skip_until_takes_the_steps_before_as_they_are(engine):
    run(tree(stalk("root", "a", "b", "c")), engine)
    made = tree(stalk("root", step("a", "other\n"), "b", step("c", "other\n"), skip_until="c"))

    found = verdicts(plan(made, engine))

    assert found["root:a"] == ("REUSE", "taken as it is committed")
    assert found["root:c"] == ("RUN", "script changed (stalks/s/s.hjson:3)")


def test_a_removed_tag_is_noticed_and_put_back(engine):
    """The image is still there, under a name of the user's own."""
    run(chain(), engine)
    engine.tag(engine.image(f"{PREFIX}/root:a").id, "mine/kept:1")
    engine.untag(f"{PREFIX}/root:a")

    drawn = plan(chain(), engine)
    run(chain(), engine)

    assert drawn.actions["root:a"].reason.startswith("unchanged; the tag was removed")
    assert engine.image(f"{PREFIX}/root:a") is not None
    assert len(engine.scripts) == 4


def test_the_same_work_under_another_name_is_not_done_twice(engine):
    """Two variants share the steps in which they do not differ; each has all its names."""
    run(tree(stalk("plain", "a", step("b", variables={"V": 1}))), engine)
    both = tree(
        stalk("plain", "a", step("b", variables={"V": 1})),
        stalk("other", "a", step("b", variables={"V": 2})),
    )

    found = verdicts(plan(both, engine))
    run(both, engine)

    image = engine.image(f"{PREFIX}/plain:a")
    assert found["other:a"] == ("REUSE", f"the same work as plain:a, which is there ({short_id(image.id)})")
    assert found["other:b"] == ("RUN", "not built yet")
    assert engine.image(f"{PREFIX}/other:a").id == image.id
    assert engine.image(f"{PREFIX}/other:initial").id == engine.image(BASE).id
    assert engine.scripts == ["a", "b", "b"]


def test_a_moved_tag_is_noticed_and_explained(engine):
    run(chain(), engine)
    other = engine.add_image()
    engine.tag(other.id, f"{PREFIX}/root:a")

    drawn = plan(chain(), engine)

    action = drawn.actions["root:a"]
    assert (action.verdict, bool(action.names)) == ("REUSE", True)


def test_an_image_that_is_gone_is_not_built_again_for_nothing(engine):
    """All that grows on it is there."""
    run(chain(), engine)
    gone = engine.image(f"{PREFIX}/root:a")
    del engine.images_by_id[gone.id]

    found = verdicts(plan(chain(), engine))

    assert found["root:a"] == ("REUSE", "its image was removed, but what grows on it is there")
    assert {verdict for verdict, _ in found.values()} == {"REUSE"}


def test_an_image_that_is_gone_is_built_again_when_it_is_needed(engine):
    run(chain(), engine)
    for name in ("root:b", "left:c"):
        del engine.images_by_id[engine.image(f"{PREFIX}/{name}").id]

    found = verdicts(plan(chain(), engine))

    assert found["root:a"] == ("REUSE", "unchanged")
    assert found["left:c"][0] == "REUSE"
    assert found["right:d"][0] == "REUSE"


def test_a_missing_leaf_runs_again(engine):
    run(chain(), engine)
    del engine.images_by_id[engine.image(f"{PREFIX}/right:d").id]

    found = verdicts(plan(chain(), engine))

    assert found["right:d"] == ("RUN", "not built yet")
    assert found["left:c"] == ("REUSE", "unchanged")


def test_an_image_derived_by_another_tool_is_not_taken_for_the_step(engine):
    """`docker build FROM` a tag of ours inherits our labels."""
    made = tree(stalk("root", "a"))
    run(made, engine)
    image = engine.image(f"{PREFIX}/root:a")
    derived = engine.add_image(labels=image.labels, parent=image.id)
    engine.tag(derived.id, f"{PREFIX}/root:a")

    drawn = plan(made, engine)

    assert drawn.actions["root:a"].image == image.id
    assert drawn.actions["root:a"].names


@pytest.mark.parametrize("comment", ["", "buildkit.dockerfile.v0"])
def test_a_derived_image_without_a_parent_is_not_taken_for_the_step_by_its_name(engine, comment):
    """BuildKit's images have none, nor have those that were saved and loaded."""
    made = tree(stalk("root", "a"))
    run(made, engine)
    image = engine.image(f"{PREFIX}/root:a")
    derived = engine.add_image(labels=image.labels)
    engine.images_by_id[derived.id] = replace(derived, parent_id="", comment=comment)
    engine.tag(derived.id, f"{PREFIX}/root:a")

    drawn = plan(made, engine)

    assert drawn.actions["root:a"].image == image.id
    assert drawn.actions["root:a"].names


def test_an_image_that_came_over_a_registry_is_recognised_by_its_comment(engine):
    """Listings of such images name no parent."""
    made = tree(stalk("root", "a"))
    run(made, engine)
    image = engine.image(f"{PREFIX}/root:a")
    engine.images_by_id[image.id] = replace(image, parent_id="", tags=())

    drawn = plan(made, engine)

    assert drawn.actions["root:a"].image == image.id


def test_a_failed_state_is_never_found_by_a_fingerprint():
    from stalker.engine.fake import FakeRun

    engine = FakeEngine(lambda name, _: FakeRun(7 if name == "b" else 0))
    engine.add_image(BASE)
    made = tree(stalk("root", "a", "b"))
    run(made, engine)

    found = verdicts(plan(made, engine))

    assert engine.image(f"{PREFIX}/root:b.failed") is not None
    assert found["root:b"][0] == "RUN"


def test_a_base_that_nobody_can_give_blocks_before_anything_runs(engine):
    made = tree(
        stalk("root", "a", bases=(ImageBase("nowhere:1", stalk("x").place),)), stalk("x", "b", parent="root")
    )

    drawn = plan(made, engine)

    assert drawn.bases["root"].verdict == "BLOCKED"
    assert verdicts(drawn)["root:a"] == ("BLOCKED", "image nowhere:1: not available")
    assert verdicts(drawn)["x:b"] == ("BLOCKED", "root:a is blocked")


def test_a_base_that_is_here_serves_before_one_that_must_be_fetched(engine):
    place = stalk("x").place
    made = tree(stalk("root", "a", bases=(ImageBase("nowhere:1", place), ImageBase(BASE, place))))

    drawn = plan(made, engine)

    assert drawn.bases["root"].verdict == "REUSE"
    assert "image nowhere:1 is not here" in drawn.bases["root"].reason


def test_from_something_that_is_left_out_is_refused(engine):
    with pytest.raises(PlanError):
        plan(chain(), engine, start="right", until="root")


def test_a_plan_touches_nothing(engine):
    run(chain(), engine)
    before = dict(engine.calls)

    plan(chain(V=3), engine)

    after = {name: count for name, count in engine.calls.items() if count != before.get(name, 0)}
    assert set(after) == {"labelled_images", "image"}


def test_a_stalk_under_another_name_runs_nothing_again(engine):
    """A fingerprint is a history of work, not of names."""
    run(tree(stalk("old", "a", "b", "c")), engine)

    ran = run(tree(stalk("new", "a", "b", "c")), engine)

    assert set(ran.verdicts.values()) == {"REUSE"}
    assert engine.image(f"{PREFIX}/new:final").id == engine.image(f"{PREFIX}/old:final").id


# platforms


ARM = "linux/arm/v7"


def plan_with(made, engine, obstacle):
    links = link_steps(made)
    index = ImageIndex(engine.labelled_images(), engine.image)
    bases = find_bases(made, index, lambda _base, _platform: "")
    return make_plan(links, index, bases, select(links), obstacle)


def drawn_with(made, engine, obstacle):
    return verdicts(plan_with(made, engine, obstacle))


ARM_BASE = "stalker-test/arm:1"


def on_arm(name, *steps, **more):
    made = stalk(name, *(step(one, platform=ARM) for one in steps), platform=ARM, **more)
    return replace(made, bases=tuple(replace(base, name=ARM_BASE) for base in made.bases))


def arm_tree():
    return tree(stalk("native", "a"), on_arm("root", "a", "b"))


def test_each_obstacle_is_named_once_with_what_it_holds_up(engine):
    """Consequences are counted, however long the chain behind an obstacle is."""
    engine.add_image(ARM_BASE, platform=ARM)
    made = tree(on_arm("root", "a", "b"), on_arm("leaf", "c", "d", parent="root"), on_arm("other", "e", "f"))

    drawn = plan_with(made, engine, lambda platform: f"{platform} does not run here")

    assert len(drawn.blocked) == 6
    assert drawn.obstacles() == {f"{ARM} does not run here": (["root:a", "other:e"], 4)}


@pytest.fixture
def with_arm(engine):
    engine.add_image(ARM_BASE, platform=ARM)
    return engine


def test_a_step_whose_platform_cannot_run_is_blocked(with_arm):
    """What grows on it too; what runs on the engine's own platform does not care."""
    found = drawn_with(arm_tree(), with_arm, lambda platform: f"{platform} does not run here")

    assert found["native:a"][0] == "RUN"
    assert found["root:a"] == ("BLOCKED", f"{ARM} does not run here")
    assert found["root:b"] == ("BLOCKED", "root:a is blocked")


def test_what_is_there_needs_no_platform(with_arm):
    """All is committed: nothing is asked, nothing blocks."""
    run(arm_tree(), with_arm)

    found = drawn_with(arm_tree(), with_arm, lambda _platform: pytest.fail("it was asked"))

    assert {verdict for verdict, _ in found.values()} == {"REUSE"}


def test_a_tag_of_another_platform_is_no_base(engine):
    """It is there, and its programs are for another machine: told before anything runs."""
    engine.add_image(ARM_BASE, platform="linux/arm64")

    found = drawn_with(tree(on_arm("root", "a")), engine, lambda _platform: "")

    assert found["root:a"] == ("BLOCKED", f"tag {ARM_BASE}: it is of linux/arm64, not of {ARM}")


@pytest.mark.parametrize(
    ("platform", "verdict"), [("linux/arm/v6", "REUSE"), (ARM, "REUSE"), ("linux/amd64", "RUN")]
)
def test_an_image_serves_the_platform_that_it_is_of(engine, platform, verdict):
    """A name that is there for another machine is pulled again; an older ARM serves a newer one."""
    engine.add_image(ARM_BASE, platform=platform)
    made = on_arm("root", "a")
    made = tree(replace(made, bases=(ImageBase(ARM_BASE, made.place),)))
    index = ImageIndex(engine.labelled_images(), engine.image)

    assert find_bases(made, index, lambda _base, _platform: "")["root"].verdict == verdict


# On another engine


def moved(engine):
    """Return an engine with the same images under other ids, as a registry and another store give them."""
    other = FakeEngine()
    for image in engine.images_by_id.values():
        digest = "sha256:" + hashlib.sha256(image.id.encode()).hexdigest()
        other.images_by_id[digest] = replace(image, id=digest, parent_id="", created_s=1.0)
        other.files[digest], other.owned[digest] = {}, {}
    return other


def test_images_that_went_to_another_engine_are_the_same_work(engine):
    """Neither the fingerprints nor what an image was made from name an id of the engine."""
    run(chain(), engine)
    other = moved(engine)

    here, there = plan(chain(), engine), plan(chain(), other)

    assert [action.fingerprint for action in here.actions.values()] == [
        action.fingerprint for action in there.actions.values()
    ]
    assert verdicts(there) == dict.fromkeys(verdicts(here), ("REUSE", "unchanged"))


def test_a_step_that_ran_on_two_engines_has_two_commits(engine):
    """What grew on one does not belong to the other."""
    run(chain(), engine)
    other = moved(engine)
    run(chain(), other, start="root:b", until="root:b")

    assert verdicts(plan(chain(), other))["left:c"][1].startswith("root:b was run again since")


def test_the_platform_of_the_base_counts_where_the_stalk_names_none():
    """An image of the same layers for another processor is another one, and so is what runs in it."""
    fingerprints = []
    for platform, asked in (("linux/amd64", ""), ("linux/amd64", "linux/amd64"), ("linux/arm64", "")):
        engine = FakeEngine()
        engine.add_image(BASE, platform=platform)
        drawn = plan(tree(stalk("s", step("a", platform=asked), "b", platform=asked)), engine)
        fingerprints.append([action.fingerprint for action in drawn.actions.values()])
        assert {action.inputs["platform"] for action in drawn.actions.values()} == {platform}

    assert fingerprints[0] == fingerprints[1]
    assert set(fingerprints[0]).isdisjoint(fingerprints[2])


# Names that people moved or removed


def names_after(engine):
    """Return what each name points at once the plan was done."""
    run(chain(), engine)
    return {tag: image.id for image in engine.images_by_id.values() for tag in image.tags}


@pytest.mark.parametrize("name", ["root:initial", "root:a", "left:initial", "left:final", "right:initial"])
@pytest.mark.parametrize("how", ["removed", "moved to ours", "moved to a foreign image"])
def test_a_name_that_was_moved_or_removed_is_explained_and_put_back(engine, name, how):
    """`plan` says so and changes nothing; `run` puts it back without running a step."""
    run(chain(), engine)
    was = names_after(engine)
    full = f"{PREFIX}/{name}"
    there = engine.image(full)
    other = engine.image(f"{PREFIX}/right:d") if how == "moved to ours" else engine.add_image("foreign:1")
    if how == "removed":
        engine.images_by_id[there.id] = replace(there, tags=tuple(tag for tag in there.tags if tag != full))
    else:
        engine.tag(other.id, full)

    drawn = plan(chain(), engine)

    [action] = [one for one in drawn.actions.values() if one.names]
    stalk_name, _, tag = name.partition(":")
    called = f"the tag :{tag}" if tag in {"initial", "final"} else "the tag"
    said = {
        "removed": f"unchanged; {called} was removed; it comes back on {short_id(there.id)}",
        "moved to ours": f"unchanged; {called} points at {short_id(other.id)} now; "
        f"it goes back to {short_id(there.id)}",
        "moved to a foreign image": f"unchanged; {called} points at {short_id(other.id)} now, "
        f"which no run made; it goes back to {short_id(there.id)}",
    }
    assert (action.id.partition(":")[0], action.verdict, action.reason) == (stalk_name, "REUSE", said[how])
    assert action.names == ((full, there.id),)
    assert {**names_after(engine), "foreign:1": ""} == {**was, "foreign:1": ""}
    assert engine.scripts == ["a", "b", "c", "d"]


# A base whose name is gone


def test_a_base_whose_name_is_gone_is_not_needed_while_all_steps_are_there(engine):
    """Offline, after `docker rmi`: what the steps say they were made from is enough."""
    run(chain(), engine)
    engine.untag(BASE)

    drawn = plan(chain(), engine)

    assert verdicts(drawn) == dict.fromkeys(drawn.actions, ("REUSE", "unchanged"))
    assert drawn.bases["root"].verdict == "REUSE"
    assert drawn.bases["root"].reason == (
        f"tag {BASE}: there is no image {BASE}; the steps that were made from it are here"
    )


def test_a_base_that_is_gone_altogether_is_not_needed_either(engine):
    """On an engine that got the steps from elsewhere."""
    run(chain(), engine)
    engine.images_by_id = {key: one for key, one in engine.images_by_id.items() if BASE not in one.tags}

    drawn = plan(chain(), engine)

    assert verdicts(drawn) == dict.fromkeys(drawn.actions, ("REUSE", "unchanged"))


def test_a_step_that_has_to_run_on_a_base_that_is_gone_is_blocked(engine):
    """The image of a name that is gone may be another one tomorrow."""
    run(chain(V=1), engine)
    engine.untag(BASE)

    found = verdicts(plan(chain(V=2), engine))

    assert found["root:a"] == ("BLOCKED", f"tag {BASE}: there is no image {BASE}")


def test_what_was_made_from_another_base_says_nothing_of_this_one(engine):
    """The tree names another base now, which is not here."""
    run(chain(), engine)
    made = chain()
    other = TagBase("elsewhere:2", made.stalks[0].place)
    made = replace(made, stalks=(replace(made.stalks[0], bases=(other,)), *made.stalks[1:]))

    assert verdicts(plan(made, engine))["root:a"][0] == "BLOCKED"


def test_a_base_is_remembered_as_the_step_that_has_the_name_says(engine):
    """The base moved, and moved back; then its name was removed."""
    first = engine.image(BASE)
    run(chain(), engine)
    second = engine.add_image(BASE)
    run(chain(), engine)
    engine.tag(first.id, BASE)
    run(chain(), engine)
    engine.tag(second.id, "kept:1")
    engine.untag(BASE)

    drawn = plan(chain(), engine)

    assert verdicts(drawn) == dict.fromkeys(drawn.actions, ("REUSE", "unchanged"))
    assert drawn.bases["root"].image == first.id


def two_of_one_work(engine):
    """Two stalks with the same steps whose first steps have two commits: one was run again."""
    made = tree(stalk("left", "a", "b"), stalk("right", "a", "b"))
    run(made, engine)
    run(made, engine, start="right:a")
    return made


def commits_below(engine, made):
    """The commits of both first steps, and what each second step was made from."""
    drawn = plan(made, engine)
    firsts = [drawn.actions[f"{name}:a"].commit for name in ("left", "right")]
    seconds = [engine.image(drawn.actions[f"{name}:b"].image) for name in ("left", "right")]
    return firsts, [next(iter(made_from(image).values())) for image in seconds]


def test_an_image_that_grew_on_another_commit_of_the_same_work_is_not_taken(engine):
    made = two_of_one_work(engine)
    engine.untag(f"{PREFIX}/left:final")
    engine.untag(f"{PREFIX}/left:b")

    on = short_id(engine.image(f"{PREFIX}/left:a").id)
    reason = f"the same work is there, but not on this image of left:a ({on})"
    assert verdicts(plan(made, engine))["left:b"] == ("RUN", reason)
    run(made, engine)
    firsts, grown_on = commits_below(engine, made)
    assert firsts == grown_on


def test_steps_that_grow_on_two_commits_of_the_same_work_both_run(engine):
    made = two_of_one_work(engine)
    for name in ("left", "right"):
        engine.untag(f"{PREFIX}/{name}:final")
        engine.untag(f"{PREFIX}/{name}:b")

    run(made, engine)

    firsts, grown_on = commits_below(engine, made)
    assert len(set(firsts)) == 2
    assert firsts == grown_on
    assert set(verdicts(plan(made, engine)).values()) == {("REUSE", "unchanged")}
