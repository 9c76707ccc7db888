"""Where the journal of a run and the logs of its steps stand below the log folder."""

from __future__ import annotations

import re
import time
from pathlib import Path

JOURNAL = "eliot.txt"
RUNS = "runs"
TIMESTAMP = re.compile(
    r"(\d{4}-?\d\d-?\d\d|\d\d-\d\d-\d\d)[-_T]?\d\d[-:]?\d\d[-:]?\d\d([.-]\d{1,6})?Z?(-\d+)?"
)
"""How a log's name ends before `.txt`; colons and a short year are those of the original tool, and the
last number is that of an attempt."""


def run_journal(log_dir: str | Path, run: str) -> Path:
    """Return the journal of one run: `logs/runs/<run>/eliot.txt`."""
    return Path(log_dir) / RUNS / run / JOURNAL


def step_log(log_dir: str | Path, stalk: str, step: str, arch_label: str, at: float) -> str:
    """Return a new log's path: `logs/<stalk>/<ARCH>-<SUBARCH>-<step>-2024-05-17-13-04-59-027.txt`.

    `at` is Unix time, shown as local time; milliseconds keep two attempts in one second apart.
    """
    stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.localtime(at))
    millis = int(at * 1000) % 1000
    return str(Path(log_dir) / stalk / f"{arch_label}-{step}-{stamp}-{millis:03d}.txt")
