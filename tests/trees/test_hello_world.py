"""The first thing a user runs, as the first users saw it."""

from __future__ import annotations

import pytest

from trees.conftest import shown_by_rules

pytestmark = pytest.mark.docker

TRANSCRIPT = [
    """
* shell and f-string variables that are used in shell scripts used to modify this image must be declared here
* if they are set to the empty string, they are set by the tree config that this stalk is contained in

These are bash variables
TREE_CONFIG_VAR is set to hello from stalker config
STALK_CONFIG_VAR is set to hello from dockerdriver config

Python f-string subsitution is done on file plugins
e.g. {F_STRING_VAR} in /tmp/hello_file is set to
hello from f-string subsitution in a file

""",
    "\nhello from a python plugin via environment variables\n\n",
    "\nhello from a python plugin via arguments\n\n",
    "\nhello from a python plugin via explicit arguments\n\n",
]
STEPS = [
    "hello_from_sh",
    "hello_python_from_env",
    "hello_python_from_arg",
    "hello_python_from_explicit_env",
]


@pytest.fixture(scope="module")
def copy(new_copy):
    """A copy whose first script differs in a comment, so that no step is there yet."""
    copy = new_copy()
    copy.edit("stalks/hello_world/hello_from_sh.sh", "set -eu\n", f"set -eu # {copy.os}\n")
    return copy


@pytest.fixture(scope="module")
def ran(copy):
    return copy.stalker("--config", "trees/hello_world/hello_world.hjson", "--watch_stdout")


def test_the_four_messages_are_those_of_the_transcript(ran):
    """Below each ruled line stands what the step printed, byte for byte."""
    _, texts = shown_by_rules(ran.out)

    assert ran.code == 0, ran.err
    assert texts == TRANSCRIPT


def test_each_ruled_line_is_as_long_as_ever_and_names_its_step(ran):
    """80 characters, in the order of the steps."""
    rules, _ = shown_by_rules(ran.out)

    assert [len(rule) for rule in rules] == [80] * 4
    assert [rule.strip("- ") for rule in rules] == [f"hello_world:{step}" for step in STEPS]


def test_each_step_has_an_image_and_a_log(ran, copy, engine):
    """What it left is tagged, what it said is in logs/hello_world."""
    assert ran.code == 0, ran.err
    for step in ["initial", *STEPS, "final"]:
        assert engine.image(copy.image(f"hello_world:{step}")) is not None
    for step, text in zip(STEPS, TRANSCRIPT, strict=True):
        (log,) = copy.path.glob(f"logs/hello_world/x86-64bit-generic_64-{step}-*.txt")
        assert log.read_text() == text[1:-1]


def test_a_second_run_has_nothing_to_do(ran, copy):
    """It says so, prints no message again, and ends well."""
    again = copy.stalker("--config", "trees/hello_world/hello_world.hjson", "--watch_stdout")

    assert ran.code == 0, ran.err
    assert (again.code, again.out) == (0, "")
    assert "nothing to do: 4 steps are there" in again.err
