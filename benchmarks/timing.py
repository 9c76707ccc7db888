"""Programs timed in turn, and what a figure says.

Ours and the peer's run in the same rounds; who goes first changes from round to round, so that a
machine that slows down or warms up favours nobody. A figure is a ratio of medians.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = "stalker"
PYTHON = str(ROOT / ".venv" / "bin" / "python")


class BenchError(Exception):
    """A measurement is worth nothing: a program failed, or did not do the work."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    `ours` and `peer` are medians in `unit`; the ratio is `ours / peer`, and at most `bar` is asked
    for. `peer` is a limit where `peer_name` says so. Without a bar it is there to be known.
    """

    row: str
    work: str
    ours: float
    peer: float
    peer_name: str
    unit: str = "s"
    bar: float | None = None
    aim: float | None = None
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def mark(self) -> str:
        if self.bar is None:
            return ""
        if self.ratio > self.bar:
            return "MISSED"
        return "pass, aim" if self.aim is not None and self.ratio <= self.aim else "pass"


def run(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Run a program and return its seconds and its standard output. Raises BenchError."""
    began_s = time.perf_counter()
    child = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = child.communicate()
    except BaseException:
        child.send_signal(signal.SIGINT)  # it has containers to remove
        child.communicate()
        raise
    took_s = time.perf_counter() - began_s
    if child.returncode != 0:
        said = (out + err).decode("utf-8", "replace").strip()[-3000:]
        raise BenchError(f"{' '.join(argv)}: exit code {child.returncode}\n{said}")
    return took_s, out.decode("utf-8", "replace")


def in_turn(sides: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each side once a round, in an order that moves on by one each round.

    A side is called with the number of the round, from 0, and returns what it measured. What the
    one before wrote is on the disk before the next starts.
    """
    names = list(sides)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # with two sides: the peer first, ours first, the peer first ...
        start = (number + 1) % len(names)
        for name in names[start:] + names[:start]:
            os.sync()
            value = sides[name](number)
            found[name].append(value)
            say(f"  round {number + 1} of {rounds}: {name} {value:.3f}")
    return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def say(text: str) -> None:
    """Tell how far we are, on stderr: stdout is for the table."""
    print(text, file=sys.stderr, flush=True)
