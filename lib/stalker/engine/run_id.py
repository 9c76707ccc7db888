"""The id of a run, and whether that run is over.

A run's id names its process: `20261121-020305-3f2a9c0b1d2e-4711-1b4f` is the time, the boot of the kernel
and the PID namespace, the process number, and when that process started. It is a label of each container
that the run makes. A later run compares process numbers only in the same boot and PID namespace: two
containers, or two hosts, that share an engine do not see each other's processes.

So an engine is asked first: a container of ours runs as long as its run holds a connection to it (see
`Engine.start`), so one that has stopped is left over, wherever its run was.
"""

from __future__ import annotations

import hashlib
import os
import time

TYPE_CHECKING = False  # the module `typing` takes 8 ms, a tenth of a run with nothing to do
if TYPE_CHECKING:
    from typing import Literal

    Fate = Literal["alive", "dead", "unknown"]

ENDED = {"Z", "X", "x"}
"""A process that was killed stays as a zombie until its parent asks for it; some never do."""

STOPPED = {"exited", "dead"}
"""States of a container whose first process has ended."""


def new_run_id(now_s: float) -> str:
    """Return the id of a run of this process that starts now (Unix time)."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    return f"{stamp}-{_place() or 'unknown'}-{os.getpid()}-{_process_start(os.getpid()) or 0:x}"


def fate(run: str) -> Fate:
    """Return what is known of a run from its id alone.

    A process is known by its number and the tick at which it started, so neither a number that is used
    again nor a clock that was set makes a living run look dead. Unknown is a run of another boot or PID
    namespace, of another user whose processes are hidden, and what is not a run's id.
    """
    parts = run.split("-")
    if len(parts) != 5 or parts[2] != _place() or not parts[3].isdigit():
        return "unknown"
    start = _process_start(int(parts[3]))
    if start is None:
        return "unknown"
    return "alive" if f"{start:x}" == parts[4] else "dead"


def is_left_over(run: str, state: str) -> bool:
    """Return whether a container of ours, of this run and in this state, has lost its run.

    The run of a container that was created and never started is known by its process only.
    """
    known = fate(run)
    return known == "dead" or (known == "unknown" and state in STOPPED)


def _place() -> str:
    """Return what tells the processes seen here from others: boot and PID namespace; empty if unreadable."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123  pathlib takes 5 ms
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]


def _process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; 0 when there is none or it has ended.

    None where /proc hides a process that exists (`hidepid`).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None if _exists(pid) else 0
    return 0 if fields[0] in ENDED else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
