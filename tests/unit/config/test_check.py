from __future__ import annotations

from stalker.config import check_files


def checked(space, *paths):
    return [str(problem) for problem in check_files(paths, str(space.root))]


def test_files_without_problems_give_none(space):
    """Silence is good news."""
    space.write("plugins/a.sh", "#!/bin/sh")
    space.write("plugins/a.hjson", "{ summary: 'a' }")

    assert checked(space, "trees/t/t.hjson", "stalks/web/web.hjson", "plugins/a.hjson") == []


def test_a_stalk_by_itself_may_inherit_anything(space):
    """Which tree sets the variable is not known here; other slips are reported."""
    space.step("WHO: ''\n timeout: never")

    assert checked(space, "stalks/web/web.hjson") == [
        "stalks/web/web.hjson:8:11: plugins.go.timeout: 'never' is not a duration; write it like 90s, 1h30m, 2d, or in seconds"
    ]


def test_a_tree_is_checked_with_all_that_hangs_on_it(space):
    """Its stalks too, and warnings with them."""
    space.tree("interactive: true")
    space.step("WHO: ''")

    problems = checked(space, "trees/t/t.hjson")

    assert [problem.split(": ")[1] for problem in problems] == ["plugins.go.WHO", "warning"]


def test_files_of_any_kind_are_checked_together_and_nothing_is_told_twice(space):
    """A tree and its stalk share their problems."""
    space.step("timeout: never")

    assert len(checked(space, "trees/t/t.hjson", "stalks/web/web.hjson", "plugins/none.hjson")) == 2


def test_a_file_elsewhere_is_known_by_its_keys(space):
    """stalks: a tree; plugins: a stalk; summary: a sidecar; else it is said."""
    space.write("x/tree.hjson", "{ stalks: {} }")
    space.write("x/stalk.hjson", "{ plugins: { a: 1 } }")
    space.write("x/sidecar.hjson", "{ summary: 1 }")
    space.write("x/other.hjson", "{ a: 1 }")

    problems = checked(space, *(f"x/{name}.hjson" for name in ("tree", "stalk", "sidecar", "other")))

    assert [problem.split("\n")[0] for problem in problems] == [
        "x/other.hjson:1:1: neither a tree, nor a stalk, nor a plugin's sidecar, nor a card image",
        "x/sidecar.hjson:1:1: a sidecar without a script",
        "x/sidecar.hjson:1:12: summary: must be text, is a number",
        "x/stalk.hjson:1:17: plugins.a: must be a mapping, is a number",
        "x/tree.hjson:1:1: the key 'architecture' is missing",
        "x/tree.hjson:1:11: stalks: there is no stalk",
    ]
