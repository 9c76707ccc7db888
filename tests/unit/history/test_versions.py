"""Versions in the order in which dpkg has them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.errors import PlanError
from stalker.history.versions import DebVersion, Requirement, parse_requirement

ORDERED = [
    "0~~",
    "0~~a",
    "0~",
    "0",
    "0a",
    "0+",
    "1.0~rc1-1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-10",
    "1.0.1",
    "1.2",
    "1.10",
    "1:0.1",
]


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(ORDERED)))
def test_versions_are_ordered(older, newer):
    assert DebVersion(older) < DebVersion(newer)
    assert not DebVersion(newer) <= DebVersion(older)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.00"), ("1.0", "1.0-0"), ("0:1", "1")])
def test_different_texts_may_be_one_version(one, other):
    assert DebVersion(one) == DebVersion(other)


VERSIONS = st.builds(
    lambda epoch, first, rest, revision: f"{epoch}{first}{rest}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    st.integers(0, 30),
    st.text("012a.+~z", max_size=6),
    st.sampled_from(["", "-1", "-1~b", "-0+deb12u1"]),
)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
@settings(max_examples=60)
@given(VERSIONS, VERSIONS)
def test_the_order_is_that_of_dpkg(one, other):
    """Dpkg itself is the oracle."""
    for operator, found in (
        ("lt", DebVersion(one) < DebVersion(other)),
        ("eq", DebVersion(one) == DebVersion(other)),
    ):
        code = subprocess.run(["dpkg", "--compare-versions", one, operator, other], check=False).returncode
        assert (code == 0) is found


@pytest.mark.parametrize(
    ("text", "requirement", "met"),
    [
        ("bash", Requirement("bash"), True),
        ("libssl3t64:armhf>=3.0", Requirement("libssl3t64:armhf", ">=", "3.0"), False),
        ("bash >= 5.2", Requirement("bash", ">=", "5.2"), True),
        ("bash<5.2", Requirement("bash", "<", "5.2"), False),
        ("bash=5.2.15-2", Requirement("bash", "=", "5.2.15-2"), True),
        ("sys-apps/sed>=4", Requirement("sys-apps/sed", ">=", "4"), False),
    ],
)
def test_a_requirement_is_met_by_what_is_installed(text, requirement, met):
    assert parse_requirement(text) == requirement
    assert requirement.is_met({"bash": "5.2.15-2"}) is met


@pytest.mark.parametrize("text", ["", ">=1", "a b", "bash>="])
def test_what_is_not_a_requirement_is_refused(text):
    with pytest.raises(PlanError):
        parse_requirement(text)
