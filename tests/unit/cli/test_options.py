"""Variables that are set on the command line."""

import pytest

from stalker.cli.options import parse_overrides
from stalker.errors import PlanError


def test_the_value_is_all_after_the_first_equals_sign():
    """The last of two for one variable counts; an empty value is a value."""
    pairs = ("A=b=c", "CONFIG_2=", "A= d ")

    assert parse_overrides(pairs) == {"A": " d ", "CONFIG_2": ""}


@pytest.mark.parametrize("pair", ["A", "=x", "a=x", "A-B=x", "A B=x", ""])
def test_what_is_not_a_variable_in_upper_case_is_refused(pair):
    with pytest.raises(PlanError, match="not of the form VAR=VALUE"):
        parse_overrides((pair,))
