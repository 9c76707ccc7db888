from __future__ import annotations

from pathlib import Path

import pytest

from unit.config.space import Space


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """A workspace with a tree `t` of one stalk `web` with one step `go`."""
    space = Space(tmp_path)
    space.tree()
    space.step()
    return space
