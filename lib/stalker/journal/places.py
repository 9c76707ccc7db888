"""Where the journal of a run and the logs of its steps stand below the log folder."""

from __future__ import annotations

import re
from pathlib import Path

JOURNAL = "eliot.txt"
RUNS = "runs"
TIMESTAMP = re.compile(
    r"(\d{4}-?\d\d-?\d\d|\d\d-\d\d-\d\d)[-_T]?\d\d[-:]?\d\d[-:]?\d\d([.-]\d{1,6})?Z?(-\d+)?"
)
"""How the name of a log that no journal names ends before `.txt`; colons and a short year are those of the
original tool, and the last number is that of an attempt."""


def run_journal(log_dir: str | Path, run: str) -> Path:
    """Return the journal of one run: `logs/runs/<run>/eliot.txt`."""
    return Path(log_dir) / RUNS / run / JOURNAL
