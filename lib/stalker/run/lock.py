"""One run at a time on the same image names of the same engine.

The lock is `flock` on a file a stalk, so it goes with its process however that ends; the file's text
only says who holds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import Interrupted, LockHeld
from stalker.io.locks import lock_unless, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def lock_dir() -> Path:
    """Return where locks of all users of this host stand, made if need be."""
    for parent in (Path("/run/lock"), Path("/tmp")):  # noqa: S108  shared by all users on purpose
        path = parent / "stalker"
        try:
            path.mkdir(mode=0o1777, exist_ok=True)
            if path.stat().st_mode & 0o1000 == 0:
                path.chmod(0o1777)
        except OSError:
            pass
        if path.is_dir() and os.access(path, os.W_OK):
            return path
    raise LockHeld(
        "no folder for lock files", "/run/lock and /tmp cannot be written", "fix their permissions"
    )


def engine_key(address: str, ask_id: Callable[[], str]) -> str:
    """Return what tells one engine from another for a lock: its socket's own identity, or its id.

    To ask an engine for its id takes 20 to 100 ms; a socket on this host is known by its inode.
    """
    if address.startswith("unix://"):
        with contextlib.suppress(OSError):
            found = Path(address.removeprefix("unix://")).stat()
            return f"socket {found.st_dev} {found.st_ino}"
    return ask_id()


@contextlib.contextmanager
def hold_names(
    engine_id: str,
    repositories: list[str],
    who: str,
    *,
    wait: bool,
    say: Callable[[str], None],
    since_s: float = 0.0,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[bool]:
    """Hold the image names of some stalks, or other names; `who` is what others see.

    `stop` is asked several times a second while it waits. Yields whether another run held one of them since `since_s` (Unix time): then what was known of the
    images may no longer be so.

    Raises:
        LockHeld: another run holds one of them and `wait` is False. Interrupted: `stop` returned True.
    """
    was_held = False
    with contextlib.ExitStack() as held:
        for repository in sorted(set(repositories)):
            key = hashlib.sha256(f"{engine_id} {repository}".encode()).hexdigest()[:32]
            path = lock_dir() / key
            freed_s = held.enter_context(_hold(path, repository, who, wait=wait, say=say, stop=stop))
            was_held = was_held or freed_s >= since_s
        yield was_held


@contextlib.contextmanager
def _hold(
    path: Path,
    repository: str,
    who: str,
    *,
    wait: bool,
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> Iterator[float]:
    descriptor = _open(path)
    try:
        if not try_lock(descriptor):
            holder = os.pread(descriptor, 4096, 0).decode("utf-8", "replace").strip() or "another run"
            if not wait:
                raise LockHeld(
                    f"{repository} is being worked on by {holder}",
                    "two runs on the same names would overwrite each other's tags",
                    "wait for it with --wait, or stop it",
                )
            say(f"waiting for {holder}, which works on {repository}")
            if not lock_unless(descriptor, stop):
                raise Interrupted(f"not waiting for {repository} any longer")
        freed_s = os.fstat(descriptor).st_mtime
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{who}\n".encode(), 0)
        try:
            yield freed_s
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.utime(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open a lock file, created for all users if it is missing.

    It gets its mode before its name. The umask stays as it is: it is of the process, and other threads create files.
    """
    # No O_CREAT on a file that is there: sticky directories refuse it for another user's file.
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o666)
        path.hardlink_to(temporary)
        return descriptor
    except FileExistsError:  # another process was quicker
        os.close(descriptor)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    finally:
        temporary.unlink()
