"""Who a run is, and whether it still lives.

A run's id says on which host and by which process: `20261121-020305-3f2a9c-4711`. It is a label of
each container that the run makes, so a later run on the same host can tell what a dead one left.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path

CLOCK_SLACK_S = 2.0
"""A process that started this much after the run's id was made is another one with its number."""


def new_run_id(now_s: float) -> str:
    """Return the id of a run of this process that starts now (Unix time)."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    return f"{stamp}-{_host()}-{os.getpid()}"


def is_dead(run: str) -> bool:
    """Say whether a run is known to be over: its process, on this host, is gone.

    Runs of other hosts, and what is no run id, are never called dead.
    """
    parts = run.split("-")
    if len(parts) != 4 or parts[2] != _host() or not parts[3].isdigit():
        return False
    try:
        started_s = _utc_s("-".join(parts[:2]))
    except ValueError:
        return False
    process_s = _process_started_s(int(parts[3]))
    return process_s is None or process_s > started_s + CLOCK_SLACK_S


def _utc_s(stamp: str) -> float:
    import calendar

    return float(calendar.timegm(time.strptime(stamp, "%Y%m%d-%H%M%S")))


def _host() -> str:
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return hashlib.sha256(f"{machine} {socket.gethostname()}".encode()).hexdigest()[:6]


def _process_started_s(pid: int) -> float | None:
    """Return when a process started (Unix time), None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/stat").read_text(encoding="ascii")
    except OSError:
        return None
    ticks = int(stat.rpartition(")")[2].split()[19])
    booted_s = float(boot.partition("btime ")[2].split()[0])
    return booted_s + ticks / os.sysconf("SC_CLK_TCK")
