"""Who a run is, and whether it still lives.

A run's id says on which host and by which process: `20261121-020305-3f2a9c-4711-1b4f`. It is a label of
each container that the run makes, so a later run on the same host can tell what a dead one left.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time

ENDED = {"Z", "X", "x"}
"""A process that was killed stays as a zombie until its parent asks for it; some never do."""


def new_run_id(now_s: float) -> str:
    """Return the id of a run of this process that starts now (Unix time)."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    return f"{stamp}-{_host()}-{os.getpid()}-{_process_start(os.getpid()):x}"


def is_dead(run: str) -> bool:
    """Say whether a run is known to be over: its process, on this host, is gone.

    Runs of other hosts, and what is no run id, are never called dead. A process is known by its number
    and the tick at which it started, so neither a number that is used again nor a clock that was set
    makes a living run look dead.
    """
    parts = run.split("-")
    if len(parts) != 5 or parts[2] != _host() or not parts[3].isdigit():
        return False
    return f"{_process_start(int(parts[3])):x}" != parts[4]


def _host() -> str:
    try:
        with open("/etc/machine-id", encoding="ascii") as file:  # noqa: PTH123  pathlib takes 5 ms
            machine = file.read().strip()
    except OSError:
        machine = ""
    return hashlib.sha256(f"{machine} {socket.gethostname()}".encode()).hexdigest()[:6]


def _process_start(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when there is none or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in ENDED else int(fields[19])
