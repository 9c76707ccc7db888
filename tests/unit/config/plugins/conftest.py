from __future__ import annotations

import pytest

from unit.config.plugins.apt import SIDECAR


@pytest.fixture
def plugins(space):
    """A workspace with one reusable plugin."""
    space.write("plugins/apt.install.sh", "#!/bin/sh -e\necho {PACKAGES}\n")
    space.write("plugins/apt.install.hjson", SIDECAR)
    return space
