"""How the steps of a tree hang together."""

from __future__ import annotations

import pytest

from build import stalk, tree
from stalker.errors import PlanError
from stalker.plan.graph import link_steps, remaining_path_s, split_name


def inputs(made):
    return {link.id: link.inputs for link in link_steps(made)}


def test_a_nested_stalk_starts_from_its_parents_last_step():
    """Children of the first tool started from the root's first image."""
    made = tree(
        stalk("root", "a", "b"), stalk("child", "c", parent="root"), stalk("leaf", "d", parent="child")
    )

    found = inputs(made)

    assert found == {"root:a": (), "root:b": ("root:a",), "child:c": ("root:b",), "leaf:d": ("child:c",)}


def test_a_need_is_an_input_beyond_the_parent():
    made = tree(
        stalk("root", "a"),
        stalk("repo", "b", parent="root"),
        stalk("join", "c", "d", parent="root", needs=["repo"]),
    )

    found = inputs(made)

    assert found["join:c"] == ("root:a", "repo:b")
    assert found["join:d"] == ("join:c",)


def test_a_need_may_name_one_step():
    made = tree(stalk("root", "a", "b", "c"), stalk("other", "d", needs=["root:b"]))

    assert inputs(made)["other:d"] == ("root:b",)


def test_steps_come_after_what_they_need_even_when_written_before_it():
    made = tree(stalk("late", "a", needs=["early"]), stalk("early", "b"))

    assert [link.id for link in link_steps(made)] == ["early:b", "late:a"]


def test_a_stalk_without_steps_passes_its_parents_image_on():
    made = tree(stalk("root", "a"), stalk("empty", parent="root"), stalk("leaf", "b", parent="empty"))

    assert inputs(made)["leaf:b"] == ("root:a",)


def test_an_empty_root_gives_its_base():
    made = tree(stalk("root"), stalk("leaf", "b", parent="root"))

    link = link_steps(made).by_id["leaf:b"]

    assert (link.parent, link.base_stalk) == (None, "root")


def test_docker_init_img_of_this_tree_is_an_edge():
    made = tree(stalk("root", "a", "b"), stalk("side", "c", start="root:a"))

    assert inputs(made)["side:c"] == ("root:a",)


def test_a_circle_is_named_in_order():
    made = tree(stalk("a", "x", needs=["c"]), stalk("b", "x", needs=["a"]), stalk("c", "x", needs=["b"]))

    with pytest.raises(PlanError) as caught:
        link_steps(made)

    assert caught.value.details == "a:x -> c:x -> b:x -> a:x"
    assert caught.value.exit_code == 2


def test_an_edge_is_of_a_parent_or_of_a_need():
    made = tree(stalk("root", "a"), stalk("other", "b", parent="root"), stalk("j", "c", needs=["other"]))

    graph = link_steps(made).graph

    kinds = {(a, b): data["kind"] for a, b, data in graph.edges(data=True)}
    assert kinds == {("root:a", "other:b"): "parent", ("other:b", "j:c"): "needs"}


def test_the_longest_way_to_go_counts_what_comes_after():
    made = tree(
        stalk("root", "a"), stalk("long", "b", "c", parent="root"), stalk("short", "d", parent="root")
    )

    remaining = remaining_path_s(
        link_steps(made), {"root:a": 1.0, "long:b": 2.0, "long:c": 3.0, "short:d": 4.0}
    )

    assert remaining == {"long:c": 3.0, "long:b": 5.0, "short:d": 4.0, "root:a": 6.0}


@pytest.mark.parametrize(
    ("typed", "message"),
    [("rot", "did you mean 'root'"), ("root:aa", "did you mean 'a'"), ("root:zzz", "there are: a, b")],
)
def test_an_unknown_name_gets_a_suggestion(typed, message):
    made = tree(stalk("root", "a", "b"))

    with pytest.raises(PlanError) as caught:
        split_name(typed, made)

    assert message in caught.value.details


def test_a_stalks_name_means_all_its_steps():
    made = tree(stalk("root", "a", "b"))

    assert split_name("root", made) == ["root:a", "root:b"]
