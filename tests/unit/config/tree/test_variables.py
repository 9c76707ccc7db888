from __future__ import annotations

import pytest


def one(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


SCOPES = {
    "the stalk file is the weakest": ("", "", "V: stalk", None, "stalk"),
    "architecture over the stalk file": ("", "architecture", "V: stalk", None, "architecture"),
    "paths over architecture": ("", "architecture paths", "", None, "paths"),
    "globals over paths": ("", "paths globals", "", None, "globals"),
    "the node over globals": ("V: node", "globals", "", None, "node"),
    "--set over the node": ("V: node", "globals", "V: stalk", {"V": "set"}, "set"),
    "an empty value counts as set": ("V: ''", "globals", "", None, ""),
}


@pytest.mark.parametrize(("node", "tops", "stalk", "overrides", "value"), SCOPES.values(), ids=SCOPES.keys())
def test_the_stronger_setting_of_a_variable_wins(space, node, tops, stalk, overrides, value):
    """`V: ''` in a plugin gives the value of the strongest scope that sets V."""
    text = "{\n" + "\n".join(
        f"{key}: {{\n OS: debian\n ARCH: a\n SUBARCH: b\n {f'V: {key}' if key in tops else ''}\n}}"
        for key in ("architecture", "paths", "globals")
    )
    space.write("trees/t/t.hjson", text + f"\nstalks: {{ web: {{\n {node}\n}} }} }}")
    space.step("V: ''", stalk)

    step = space.go(overrides)

    assert [(v.name, v.value) for v in step.variables] == [("V", value)]


def test_the_plugins_own_value_beats_everything(space):
    """A value that stands in the plugin is not overridden, not even by --set."""
    space.tree("V: node")
    space.step("V: own")

    assert space.go({"V": "set"}).variables[0].value == "own"


def test_a_nested_stalk_inherits_from_its_parents_and_never_from_its_siblings(space):
    """V of the root is seen below it unless a node nearer sets it; a sibling's V is not."""
    space.tree(
        "V: root\n a: {\n stalk: web\n V: a\n b: { stalk: 'web' }\n }\n c: { stalk: 'web' }\n d: {\n stalk: web\n W: d\n }"
    )
    space.step("V: ''")

    values = {stalk.name: stalk.steps[0].variables[0].value for stalk in space.read().stalks}

    assert values == {"web": "root", "a": "a", "b": "a", "c": "root", "d": "root"}


def test_a_variable_set_by_a_sibling_only_is_set_by_nobody(space):
    """The sibling's variable does not leak: inheriting it is an error."""
    space.tree("a: {\n stalk: web\n V: a\n }\n c: { stalk: 'web' }")
    space.step("V: ''", "")

    assert len(space.problems()) == 1
    assert "nobody set V" in one(space.problems())


def test_a_variable_tells_where_it_was_set(space):
    """`show` can print file and line of each value, and --set for the command line."""
    space.tree("A: 1")
    space.step("A: ''\n B: ''\n C: 3\n D: ''", "D: 4")

    places = {v.name: str(v.place) for v in space.go({"B": "2"}).variables}

    assert places == {
        "A": "trees/t/t.hjson:10:7",
        "B": "--set:1:1",
        "C": "stalks/web/web.hjson:9:2",
        "D": "stalks/web/web.hjson:2:3",
    }


@pytest.mark.parametrize("written", ["1", "1.10", "true", "0644", "-1", "1e3", "hello world"])
def test_a_value_is_taken_as_written(space, written):
    """Numbers and booleans become text as they were written."""
    space.step("V: ''", f"V: {written}")

    assert space.go().variables[0].value == written
