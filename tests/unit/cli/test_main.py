"""What the command line does about its own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_output_that_finds_no_room_is_told():
    """A plan into a full disk is neither success nor a traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "stalker.cli", "schema", "tree"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "stalker: No space left on device: not all of the output could be written\n"
