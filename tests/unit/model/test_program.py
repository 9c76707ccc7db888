from __future__ import annotations

import pytest

from stalker.model import program


@pytest.mark.parametrize("typed", ["stalker", "./stalker", "../stalker/stalker"])
def test_what_was_typed_is_what_messages_say(monkeypatch, typed):
    """A message can be copied into the terminal where it is shown."""
    monkeypatch.setattr(program._Typed, "name", "before")

    program.set_program(typed)

    assert program.program() == typed
