from __future__ import annotations

from dataclasses import fields

import pytest

from stalker.config.artifacts.boot_tests import BOUND
from stalker.config.schema.artifacts import ARTIFACT, EXPECTATION, KINDS, WAIVED_GATES
from stalker.model.artifacts import GATES, BootTest, Expectation


@pytest.mark.parametrize(
    ("keys", "into"),
    [(BOUND, BootTest), ({key: EXPECTATION.keys[key] for key in ("matches", "exit")}, Expectation)],
    ids=["boot test", "expectation"],
)
def test_each_key_is_a_field(keys, into):
    """What is declared can be bound."""
    assert {one.field or key for key, one in keys.items()} <= {one.name for one in fields(into)}


def test_keys_go_with_kinds_that_there_are():
    """A key of a kind that is not there could never be written."""
    assert {kind for one in ARTIFACT.keys.values() for kind in one.of.split()} <= set(KINDS)


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_is_waived_with_a_reason(gate):
    """An empty one says nothing."""
    read = WAIVED_GATES.keys[gate].read

    assert read("it is made at the first boot") == "it is made at the first boot"
    with pytest.raises(ValueError, match=f"the gate {gate} is waived without a reason"):
        read(" ")
