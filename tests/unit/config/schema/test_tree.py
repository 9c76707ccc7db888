from __future__ import annotations

from dataclasses import fields

import pytest

from stalker.config.plugins.arguments import Argument
from stalker.config.plugins.declared import Exec
from stalker.config.schema.tree import ARGUMENT, BASE, BASES, BOOTSTRAP, PLUGIN, STEP
from stalker.model.tree import BootstrapBase


@pytest.mark.parametrize(
    ("keys", "into"),
    [(BOOTSTRAP.keys, BootstrapBase), (STEP, Exec), (ARGUMENT.keys, Argument)],
    ids=["bootstrap", "step", "argument"],
)
def test_each_key_is_a_field(keys, into):
    """What is declared can be bound."""
    assert {one.field or key for key, one in keys.items()} <= {one.name for one in fields(into)}


@pytest.mark.parametrize(
    ("keys", "kinds"), [(BASE.keys, set(BASES)), (PLUGIN.keys, {"exec", "file", "folder", "git", "store"})]
)
def test_keys_go_with_kinds_that_there_are(keys, kinds):
    """A key of a kind that is not there could never be written."""
    assert {kind for one in keys.values() for kind in one.of.split()} <= kinds
