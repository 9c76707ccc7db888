"""Start, watch and stop the process of a build.

The lock of the build's directory is taken here and inherited: it is free exactly when the process is gone, also one
that an earlier service started. So nothing is polled, and a number that another process has now is never signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from stalker.io.atomic import write_file
from stalker.io.locks import lock, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.model.service import Allowed
    from stalker.service.builds.places import BuildPlaces

GRACE_S = 30.0
"""Time that a cancelled run has to remove its containers before it is killed."""


def write_spec(
    places: BuildPlaces,
    *,
    workspace: str,
    tree: str,
    overrides: Mapping[str, str],
    start_from: str,
    allow: Allowed | None,
    roots: Sequence[str],
) -> None:
    """Write what the process does; without `allow` the tree is the service's own and asks what it likes."""
    spec = {
        "workspace": workspace,
        "tree": tree,
        "set": dict(overrides),
        "start_from": start_from,
        "allow": asdict(allow) if allow is not None else None,
        "roots": list(roots),
    }
    write_file(places.spec, json.dumps(spec))


def start(places: BuildPlaces, environment: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Start the process in a session of its own; it gets `secrets` through a pipe."""
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock(descriptor)
        places.exit.unlink(missing_ok=True)
        places.process.unlink(missing_ok=True)
        with places.messages.open("ab") as messages:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stalker.service.builds.worker", str(places.root)],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=messages,
                stderr=messages,
                cwd=places.root,
                start_new_session=True,
                pass_fds=(descriptor,),
            )
        write_file(places.process, f"{process.pid}\n")
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(json.dumps(dict(secrets)).encode())
    finally:
        os.close(descriptor)
    # Collects the exit of a child, so that none is left as a zombie.
    threading.Thread(target=process.wait, name=f"child {process.pid}", daemon=True).start()


def is_alive(places: BuildPlaces) -> bool:
    """Return whether the process of a build lives."""
    try:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def watch(places: BuildPlaces, ended: Callable[[], None]) -> None:
    """Call `ended` from a thread when the process of a build is gone."""

    def wait() -> None:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock(descriptor, shared=True)
        finally:
            os.close(descriptor)
        ended()

    threading.Thread(target=wait, name=f"watch {places.root.name[:8]}", daemon=True).start()


def stop(places: BuildPlaces, number: signal.Signals = signal.SIGTERM) -> None:
    """Signal the process group of a build, if it lives."""
    if not is_alive(places):
        return
    try:
        group = int(places.process.read_text(encoding="ascii"))
        os.killpg(group, number)
    except (OSError, ValueError):
        return


def exit_code(places: BuildPlaces) -> int | None:
    """Return the exit code of a run that is over, None where its process died before."""
    try:
        return int(places.exit.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
