"""Files that leave the engine: compressed on the way, and there only when they are whole.

What is written has no name until it is complete and on the disk, so neither a failure nor a kill leaves
anything behind, and a file that was there stays until the new one takes its place.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stalker.errors import PlanError, StalkerError
from stalker.io.atomic import AtomicFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDOUT = "-"
BUFFER_BYTES = 1 << 17
"""Small enough that the engine does not wait for us to write."""
PIPE_BYTES = 1 << 20
GRACE_S = 2.0
"""A program that hung up on us ends well before this."""

PROGRAMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tar": (),
    "gz": (("pigz", "-n", "-c"), ("gzip", "-n", "-c")),
    "zst": (("zstd", "-q", "-c", "-T0"),),
    "xz": (("xz", "-c"),),
}
"""Who compresses, the fastest first; without a name or time in the file, so that equal stays equal."""

ENDINGS = {
    ".tar": "tar",
    ".tar.gz": "gz",
    ".tgz": "gz",
    ".tar.zst": "zst",
    ".tzst": "zst",
    ".tar.xz": "xz",
    ".txz": "xz",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an artifact goes and how it is packed. `argv` is empty where Python compresses or nothing does."""

    path: str
    packing: str
    argv: tuple[str, ...] = ()


def plan_target(path: str) -> Target:
    """Find out how `path` is to be written; nothing is touched.

    Raises:
        PlanError: its ending says nothing, its directory is not there, or who packs is missing.
    """
    if path == STDOUT:
        if sys.stdout.isatty():
            raise PlanError("a tar is nothing for a terminal", "", "name a file, or pass it on: -o - | tar t")
        return Target(path, "tar")
    packing, argv = packing_of(path)
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise PlanError(f"{path} is a folder", "", f"name a file: {path.rstrip('/')}/rootfs.{packing}")
    if not real.parent.is_dir():
        raise PlanError(f"{path}: there is no folder {real.parent}", "", f"mkdir -p {real.parent}")
    return Target(str(real), packing, argv)


def packing_of(path: str) -> tuple[str, tuple[str, ...]]:
    """Return how a file of this name is packed, and the program that does it; empty where Python does.

    Raises:
        PlanError: its ending says nothing, or who packs is missing.
    """
    packing = next((kind for ending, kind in ENDINGS.items() if path.lower().endswith(ending)), "")
    if not packing:
        raise PlanError(
            f"{path}: the ending does not say how to pack it", "", f"end the name in {', '.join(ENDINGS)}"
        )
    argv = _packer(packing)
    if packing == "zst" and not argv:
        raise PlanError(
            f"{path}: zstd is not installed",
            "nothing else here writes zst",
            "apt-get install zstd, or end the name in .tar.xz or .tar.gz",
        )
    return packing, argv


def _packer(packing: str) -> tuple[str, ...]:
    import shutil

    for argv in PROGRAMS[packing]:
        if shutil.which(argv[0]):
            return (*argv, f"-T{_threads()}") if packing == "xz" else argv
    return ()


def _threads() -> int:
    """Return how many threads xz gets: two at least, for what one alone writes is other bytes."""
    return max(2, len(os.sched_getaffinity(0)))


@contextlib.contextmanager
def written(targets: Sequence[Target]) -> Iterator[list[Artifact]]:
    """Open artifacts for writing; they appear together at the end, or none does when anything is raised.

    Raises:
        StalkerError: the disk is full, or who packs has failed.
    """
    made: list[Artifact] = []
    try:
        made.extend(Artifact(target) for target in targets)
        yield made
        for artifact in made:
            artifact.seal()
        for artifact in made:
            artifact.publish()
    except BrokenPipeError:
        for artifact in made:
            artifact.complain()
        raise
    except OSError as error:
        names = " and ".join(target.path for target in targets)
        raise StalkerError(
            f"could not write {names}",
            f"{error.strerror or error}",
            "free space or fix the permissions there; what stood there before is untouched",
        ) from error
    finally:
        for artifact in made:
            artifact.discard()


class Artifact:
    """One file on its way. `size_bytes` is known once it is sealed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.size_bytes = 0
        self._file: AtomicFile | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._packer: IO[bytes] | None = None
        self._descriptor = -1
        self._stream: Any = None
        try:
            self._descriptor = self._open()
            self._stream = self._into_program() if target.argv else self._into_file()
        except BaseException:
            self.discard()
            raise
        self.write = (self._packer or self._stream).write

    def _into_program(self) -> Any:
        self._process = subprocess.Popen(
            self.target.argv,
            stdin=subprocess.PIPE,
            stdout=self._descriptor,
            stderr=subprocess.PIPE,
            bufsize=BUFFER_BYTES,
            start_new_session=True,  # Ctrl-C is for us: we end it, and say why
        )
        assert self._process.stdin is not None
        _widen(self._process.stdin.fileno())
        return self._process.stdin

    def _into_file(self) -> Any:
        stream = os.fdopen(os.dup(self._descriptor), "wb", BUFFER_BYTES)
        self._packer = _python_packer(self.target.packing, stream)
        return stream

    def _open(self) -> int:
        if self.target.path == STDOUT:
            return os.dup(sys.stdout.fileno())
        self._file = AtomicFile(self.target.path)
        return self._file.descriptor

    def seal(self) -> None:
        """Write what is left and wait until all of it is on the disk."""
        if self._packer is not None:
            self._packer.close()
        self._stream.close()
        if self._process is not None and self._process.wait() != 0:
            self.complain()
        if self._file is not None and not self._file.is_direct:
            os.fsync(self._descriptor)
            self.size_bytes = os.fstat(self._descriptor).st_size

    def publish(self) -> None:
        """Give it its name, in place of what was there."""
        if self._file is not None:
            self._file.publish()

    def discard(self) -> None:
        """Let go of everything; what was not published is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.close()
        if self._process is not None:
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
        if self._file is not None:
            self._file.discard()
        elif self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def complain(self) -> None:
        """Raise what the packing program said if it has ended badly."""
        if self._process is None or self._process.stderr is None or self._process.stderr.closed:
            return
        try:
            if self._process.wait(GRACE_S) == 0:
                return
        except subprocess.TimeoutExpired:
            return  # it still waits for more: the fault is another's
        said = self._process.stderr.read().decode("utf-8", "replace").strip()
        raise StalkerError(
            f"could not write {self.target.path}: {self.target.argv[0]} failed",
            said or f"it ended with {self._process.returncode}",
            "make room where it stands; what stood there before is untouched",
        )


def _python_packer(packing: str, stream: IO[bytes]) -> Any:
    """Return a file that packs into `stream` where no program does, None for a plain tar."""
    if packing == "gz":
        import gzip

        return gzip.GzipFile("", "wb", 6, stream, mtime=0)
    if packing == "xz":
        import lzma

        return lzma.LZMAFile(stream, "wb")
    return None


def _widen(descriptor: int) -> None:
    """Let a pipe hold more, so that both ends wait less; as much as the system allows."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
