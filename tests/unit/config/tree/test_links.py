from __future__ import annotations

import pytest

from stalker.model.tree import TagBase


def one(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_a_circle_in_needs_is_named_in_order(space):
    """`a` needs `b`, `b` needs `c`, `c` needs `a`: the message says a -> b -> c -> a."""
    space.tree(
        "x: { stalk: 'web' }\n }\n a: { stalk: 'web', needs: ['b'] }\n b: { stalk: 'web', needs: ['c:go'] }\n c: { stalk: 'web', needs: ['a']"
    )

    assert "a circle: a -> b -> c -> a" in one(space.problems())


def test_needs_between_branches_is_no_circle(space):
    """A join over two branches is fine, and so is needing one step of another stalk."""
    space.tree("a: { stalk: 'web' }\n b: { stalk: 'web', needs: ['a:go'] }")

    stalk = space.read().stalk("b")

    assert [need for need, _ in stalk.needs] == ["a:go"]


STARTS = {
    "nothing said": ("", "", (None, "debian/arm-32bit/raspi3/web:initial")),
    "the node says another stalk": (
        "DOCKER_INIT_IMG: other:done",
        "",
        (None, "debian/arm-32bit/raspi3/other:done"),
    ),
    "the stalk file says it": (
        "",
        "DOCKER_INIT_IMG: stage3:initial",
        (None, "debian/arm-32bit/raspi3/stage3:initial"),
    ),
    "a whole image name": ("DOCKER_INIT_IMG: a/b/c:d", "", (None, "a/b/c:d")),
    "a step of this tree": ("}\n db: {\n DOCKER_INIT_IMG: web:go", "", ("web:go", None)),
    "the last step of a stalk of this tree": ("}\n db: {\n DOCKER_INIT_IMG: web:final", "", ("web:go", None)),
    "the first image of a stalk of this tree": (
        "}\n db: {\n DOCKER_INIT_IMG: web:initial",
        "",
        (None, "debian/arm-32bit/raspi3/web:initial"),
    ),
    "a nested stalk with another start": (
        "db: {\n DOCKER_INIT_IMG: other:final\n }",
        "",
        (None, "debian/arm-32bit/raspi3/other:final"),
    ),
    "a nested stalk": ("db: {}", "", (None, None)),
}


@pytest.mark.parametrize(("node", "top", "expected"), STARTS.values(), ids=STARTS.keys())
def test_a_stalk_starts_where_the_files_say(space, node, top, expected):
    """Parent, DOCKER_INIT_IMG of node or stalk file, or the image :initial that is already there."""
    space.tree(node)
    space.step(top=top)
    space.step(name="db")

    stalk = space.read().stalks[-1]

    start, tag = expected
    assert stalk.start == start
    assert [base.name for base in stalk.bases if isinstance(base, TagBase)] == ([tag] if tag else [])


def test_a_stalk_files_start_has_no_effect_below_a_parent_and_says_so(space):
    """The tree gives a nested stalk its first image; the default in the file is a warning."""
    space.tree("lite: { stalk: 'web' }")
    space.step(top="DOCKER_INIT_IMG: stage3:initial")

    tree = space.read()

    assert tree.stalk("lite").bases == ()
    assert ["nested in 'web'" in warning for warning in tree.warnings] == [True]


def test_pretend_skip_until_platform_and_resources_reach_the_stalk(space):
    """What a node says of its running is in the tree; the platform goes down to nested stalks."""
    space.tree(
        "pretend: true\n skip_until: go\n platform: linux/arm/v7\n resources: { cpus: 2, board: 'pi' }\n lite: { stalk: 'web' }"
    )

    web, lite = space.read().stalks

    assert (web.pretend, web.skip_until, web.platform) == (True, "go", "linux/arm/v7")
    assert web.resources == (("board", "pi"), ("cpus", "2"))
    assert (lite.parent, lite.pretend, lite.platform, lite.steps[0].platform) == (
        "web",
        False,
        "linux/arm/v7",
        "linux/arm/v7",
    )
