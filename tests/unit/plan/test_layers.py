"""The layers of an image are counted before anything runs."""

from __future__ import annotations

import pytest

from build import stalk, step, tree
from stalker.errors import PlanError
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount
from stalker.plan.graph import link_steps
from stalker.plan.layers import check_layers, count_layers

STORE = Mount("/cache", "store", "cache", True, Place("x"))


def test_steps_that_share_a_session_share_a_layer():
    made = tree(stalk("root", *(f"s{n}" for n in range(200))))

    assert set(count_layers(link_steps(made)).values()) == {1}


def test_each_stalk_daemon_and_sweep_adds_one():
    made = tree(
        stalk("root", "a", step("serve", daemonize=True), "b"),
        stalk("leaf", step("c", mounts=(STORE,)), step("d", mounts=(STORE,)), parent="root"),
    )

    found = count_layers(link_steps(made))

    assert found == {"root:a": 1, "root:serve": 2, "root:b": 3, "leaf:c": 4, "leaf:d": 5}


def test_a_row_of_stalks_that_the_engine_does_not_take_is_refused():
    rows = [stalk("s0", "a")] + [stalk(f"s{n}", "a", parent=f"s{n - 1}") for n in range(1, 130)]
    links = link_steps(tree(*rows))

    with pytest.raises(PlanError, match="s120:a would have 121 layers"):
        check_layers(links, lambda: 125)
    check_layers(links, lambda: 150)


def test_an_engine_is_not_asked_about_few_layers():
    def layers_max():
        raise AssertionError("asked")

    check_layers(link_steps(tree(stalk("root", "a"))), layers_max)
