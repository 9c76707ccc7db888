"""Streams that a caller closed, as some services and schedulers do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_makes_no_success_a_failure(closed):
    """What would be printed is lost, and nothing else."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -P -m stalker.cli schema tree {closed}', sys.executable],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
