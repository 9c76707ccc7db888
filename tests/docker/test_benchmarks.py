"""Every row of the benchmarks can be measured, and a row that cannot costs no other one its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_each_row_is_measured_once_on_a_tiny_size(tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--tiny", "--json", str(out)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())
    rows = {figure["row"] for figure in found["figures"]}
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from run import ROWS
    finally:
        sys.path.remove(str(BENCHMARKS))
    assert rows == set(ROWS)
    assert all(figure["ours"] > 0 for figure in found["figures"])


def test_a_row_that_fails_is_named_beside_the_figures_of_the_others(tmp_path):
    """Also when it fails by a slip in its own code."""
    script = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import run, trivial
sys.argv = ["run.py", "--only", "trivial", "--only", "prune", "--rounds", "1"]
run.ROWS["prune"].STEPS = 2
trivial.measure = None
sys.exit(run.main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 2, done.stderr[-3000:]
    assert "prune of 2 steps" in done.stdout
    assert "trivial" in done.stdout
