"""A prune carried out: what the engine removes, what it refuses, and which volumes go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stalker.errors import EngineError, NoEngine
from stalker.images.prune import carry_out, draw_up, stores_of
from stalker.images.prune_plan import Limits, Pruning
from stalker.model import labels
from stalker.plan.graph import stalks_below
from unit.helpers.forest import NOW_S, TREE, Forest, grown

if TYPE_CHECKING:
    from stalker.images.prune import Pruned


def plan(forest: Forest, stalk_name: str = "", **limits) -> Pruning:
    return draw_up(forest.engine, stalks_below(TREE, stalk_name), Limits(**limits), NOW_S)


def prune(forest: Forest, stalk_name: str = "", **limits) -> Pruned:
    pruning = plan(forest, stalk_name, **limits)
    return carry_out(forest.engine, pruning, {one.image.id for one in pruning.removals}, NOW_S)


def test_untagged_images_below_are_held_while_their_last_child_goes():
    """An engine takes untagged parents along: a base that was pulled again must not go that way."""
    forest = Forest()
    forest.engine.images_by_id.clear()
    foreign = forest.engine.add_image("debian:bookworm")
    forest.engine.images_by_id[foreign.id] = replace(foreign, tags=())
    forest.grow("base:apt", forest.engine.images_by_id[foreign.id])

    found = plan(forest)
    prune(forest)

    assert found.held == (foreign.id,)
    assert forest.engine.calls["create"] == 1
    assert forest.engine.live == {}
    assert list(forest.engine.images_by_id) == [foreign.id]


def test_named_images_below_need_no_holding():
    assert plan(grown()).held == ()


def test_what_the_engine_refuses_is_reported_and_the_rest_is_removed():
    forest = grown()
    real = forest.engine.untag

    def untag(name):
        if name.endswith("web:site"):
            raise EngineError("could not remove it", "conflict: container 12 uses it")
        real(name)

    forest.engine.untag = untag

    done = prune(forest)

    assert done.refused == (
        ("os/arch/sub/web:site, os/arch/sub/web:final", "conflict: container 12 uses it"),
    )
    assert {"web:site", "web:nginx"} <= forest.names()
    assert "db:pg" not in forest.names()


def test_an_engine_that_goes_away_ends_it():
    forest = grown()
    found = plan(forest)
    forest.engine.is_gone = True

    with pytest.raises(NoEngine):
        carry_out(forest.engine, found, {one.image.id for one in found.removals}, NOW_S)


def test_a_name_that_moved_meanwhile_is_left_alone():
    """Between the question and the answer somebody else may have tagged something of theirs."""
    forest = grown()
    found = plan(forest)
    mine = forest.engine.add_image("mine:1")
    forest.tag(mine, "web:site")

    carry_out(forest.engine, found, {one.image.id for one in found.removals}, NOW_S)

    assert "web:site" in forest.names()
    assert forest.engine.image("os/arch/sub/web:site").id == mine.id


def test_only_what_was_shown_is_removed():
    forest = grown()
    found = plan(forest)
    shown = {one.image.id for one in found.removals if "web:site" in one.title}

    done = carry_out(forest.engine, found, shown, NOW_S)

    assert done.removed == 1
    assert "web:nginx" in forest.names()


def test_stores_that_other_stalks_mount_stay():
    forest = grown()
    for name in ("cache", "shared"):
        forest.engine.ensure_volume(name, {labels.VERSION: "0"})
    said: list[str] = []

    web = stores_of(TREE, stalks_below(TREE, "web"), forest.engine, said.append)
    every = stores_of(TREE, TREE.stalks, forest.engine, said.append)

    assert web == ["cache"]
    assert every == ["cache", "shared"]
    assert said == ["the store shared stays: other stalks of the tree mount it"]


def test_a_volume_of_the_same_name_that_is_not_ours_stays():
    forest = grown()
    forest.engine.ensure_volume("cache", {})

    assert stores_of(TREE, TREE.stalks, forest.engine, print) == []
