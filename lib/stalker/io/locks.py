"""Locks on open files (flock): they end with the process that has them, however it ends.

A lock belongs to one opening of a file, so two threads that open it for themselves exclude each other too.
A lock file stays when its lock is released: if it were removed, two processes could hold two files of that name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _typeshed import FileDescriptorLike

POLL_S = 0.1
"""flock has no timeout, and a signal handler that returns does not end it: who may have to stop, polls."""


def lock(file: FileDescriptorLike, *, shared: bool = False) -> None:
    """Lock an open file, after any wait. Raises OSError where the file system has no locks."""
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(file: FileDescriptorLike, *, shared: bool = False) -> bool:
    """Lock an open file unless it is locked; return True if it was locked. Raises OSError as `lock`."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_unless(file: FileDescriptorLike, stop: Callable[[], bool]) -> bool:
    """Lock an open file, after any wait; return False, without the lock, once `stop` returns True."""
    while not try_lock(file):
        if stop():
            return False
        time.sleep(POLL_S)
    return True


@contextlib.contextmanager
def locked_file(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a lock file, which is created if it is missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        lock(descriptor, shared=shared)
        yield
    finally:
        os.close(descriptor)
