"""What a measurement was taken on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from peer import Peer
from timing import ROOT, run


def describe(peer: Peer) -> dict[str, str]:
    """Return machine, system, engine and peer, in a few words each."""
    engine = json.loads(peer.ask("info", "--format", "{{json .}}"))
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB",
        "system": f"{_system()}, Linux {platform.release()}, Python {platform.python_version()}",
        "engine": f"Docker {engine['ServerVersion']}, {engine['Driver']}"
        f" on {_backing(engine)}, cgroup v{engine.get('CgroupVersion', '1')}",
        "peer": f"docker {peer.ask('version', '--format', '{{.Client.Version}}')} ({_package(peer.program)})",
        "stalker": run([str(ROOT / "stalker"), "--version"])[1].split()[-1] + _commit(),
        "load": f"{os.getloadavg()[0]:.2f} when it began",
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _system() -> str:
    return str(platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"))


def _backing(engine: dict[str, object]) -> str:
    status = engine.get("DriverStatus") or []
    assert isinstance(status, list)
    return next((value for name, value in status if name == "Backing Filesystem"), "an unknown file system")


def _package(program: str) -> str:
    from timing import BenchError

    try:
        return run(["dpkg-query", "-S", program])[1].split(":")[0]
    except (BenchError, FileNotFoundError):
        return program


def _commit() -> str:
    from timing import BenchError

    try:
        return " at " + run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])[1].strip()
    except (BenchError, FileNotFoundError):
        return ""
