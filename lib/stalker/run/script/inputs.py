"""What a step takes from this host is what its fingerprint says: a file as it is read, a directory afterwards.

The tree was read, and its digests computed, before the run began; files can change until they are placed,
and mounted directories until the step ends. Contents that the tree itself holds cannot.
"""

# os.path is several times faster than pathlib, and thousands of paths are looked at.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import hashlib
import os
import time
from threading import Lock
from typing import TYPE_CHECKING

from stalker.config.digests import digest_directory, directory_evidence
from stalker.config.tree.evidence import YOUNG_NS
from stalker.errors import EngineError, InputChanged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.model.tree import File, Mount


def read_checked(file: File) -> bytes:
    """Return the bytes of a host file that is placed: those that were read when the run began.

    Raises:
        EngineError: it cannot be read. InputChanged: it holds something else now.
    """
    try:
        with open(file.host_path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise EngineError(f"could not read {file.host_path}", str(error)) from error
    if hashlib.sha256(content).hexdigest() != file.digest:
        raise _changed(file.host_path)
    return content


class Directories:
    """Checks the read-only directories of a run's steps; shared by all threads.

    Each directory is read again only when the evidence of its state changed since it was read last.
    """

    def __init__(self) -> None:
        self._evidence: dict[tuple[str, str], str] = {}
        self._lock = Lock()

    def check(self, mounts: Iterable[Mount], workspace: str, since_s: float) -> None:
        """Check that the read-only directories of a step held what was planned, since it began (Unix time).

        Raises:
            EngineError: one cannot be read. InputChanged: one holds something else, or did meanwhile.
        """
        for mount in mounts:
            if mount.kind == "directory" and mount.digest:
                self._check(mount, os.path.join(workspace, mount.source), since_s)

    def _check(self, mount: Mount, path: str, since_s: float) -> None:
        key = (path, mount.digest)
        with self._lock:
            known = self._evidence.get(key, mount.evidence)
        now_ns = time.time_ns()
        try:
            evidence, latest_ns = directory_evidence(path)
            if evidence == known:
                return
            digest = digest_directory(path, owners=True)
        except OSError as error:
            where = os.fsdecode(error.filename) if error.filename else path
            if os.path.lexists(path):
                raise EngineError(f"could not read {where}", str(error)) from error
            raise _changed(path) from error
        # What was changed and put back while the script ran may have been read by it in between.
        if digest != mount.digest or latest_ns > since_s * 1e9:
            raise _changed(path)
        if latest_ns < now_ns - YOUNG_NS:
            with self._lock:
                self._evidence[key] = evidence


def _changed(path: str) -> InputChanged:
    return InputChanged(
        f"{path} changed while the step ran",
        "it no longer is what was read when the run began, so what the step left is not committed",
        "run again: the step then runs with what is there now; leave it alone until the run has ended",
    )
