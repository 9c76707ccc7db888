from __future__ import annotations

import pytest

from stalker.model import program


@pytest.mark.parametrize(
    ("typed", "shown"), [("stalker", "stalker run t"), ("../stalker", "../stalker run t")]
)
def test_a_call_begins_with_what_the_user_typed(monkeypatch, typed, shown):
    """A message can be copied into the terminal where it is shown."""
    monkeypatch.setattr(program._Typed, "name", typed)

    assert program.call("run t") == shown
    assert program.call() == typed
