"""Hazards of foreign platforms that a tree waives."""

import pytest

from stalker.model.platforms import HAZARDS
from unit.config.space import Space


@pytest.fixture
def space(tmp_path):
    made = Space(tmp_path)
    made.step()
    return made


def test_a_tree_without_waivers_waives_nothing(space):
    space.tree("base: { tag: x }")

    assert space.read().hazards_waived == ()


@pytest.mark.parametrize("name", HAZARDS)
def test_each_hazard_can_be_waived_with_a_reason(space, name):
    """The reason is kept: it is reported where the hazard would be."""
    space.tree("base: { tag: x }", f'hazards: {{ waive: {{ {name}: "only Python lists folders" }} }}')

    assert space.read().hazards_waived == ((name, "only Python lists folders"),)


def test_a_hazard_is_not_waived_without_a_reason(space):
    space.tree("base: { tag: x }", 'hazards: { waive: { inode_numbers: " " } }')

    (problem,) = space.problems()
    assert "the hazard inode_numbers is waived without a reason" in problem
    assert problem.startswith("trees/t/t.hjson:7:")


def test_a_hazard_that_nobody_knows_gets_a_suggestion(space):
    space.tree("base: { tag: x }", 'hazards: { waive: { inode_number: "so" } }')

    (problem,) = space.problems()
    assert "did you mean 'inode_numbers'?" in problem
