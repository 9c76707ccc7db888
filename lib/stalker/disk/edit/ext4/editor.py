"""An editor of ext2, ext3 and ext4 file systems inside an image, without mounts, root or a container.

The file system is parsed by libext2fs in a process of its own, which reads the image and writes nothing: a crash or
an endless loop there ends the edit and nothing else. What it would change comes back as pieces, at the end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.disk.edit.ext4.worker import FRAME, entry_row, packed
from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.entry import Found, Range
from stalker.host.block_device import refuse_used

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.disk.edit.view import Piece, View
    from stalker.formats.fs.entry import Entry

LIMIT_S = 20
ENTRIES_A_SECOND = 1000
"""How many entries a slow host makes at least: a put of very many has that much more time."""
REPLY_BYTES = 1 << 30
PACKAGES = Path(__file__).resolve().parents[4]
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from stalker.disk.edit.ext4.worker import main; main()"
)


class Ext4Editor:
    """A file system of an image that is open for changes: an `Editor`.

    It has `size_bytes` from `start` of the view on. Directories made on the way, and the superblock, get
    `mtime_s`. The worker reads the file below the view.

    Raises:
        NeedsRepair: it is damaged, or was not closed properly.
        StalkerError: it is in use, of a kind that is not changed here, or libext2fs is missing.
    """

    def __init__(self, view: View, start: int, size_bytes: int, *, mtime_s: int) -> None:
        refuse_used(view.descriptor)
        self._view, self._start, self._end = view, start, start + size_bytes
        self._worker = _Worker(view.descriptor, start, size_bytes, mtime_s)
        self._free_bytes = 0
        try:
            self._block_bytes = int(self._ask({"do": "open"})[0])
        except BaseException:
            self.close()
            raise

    @property
    def free_bytes(self) -> int:
        """How much more data fits, about: with what is reserved for root, without what replaced files had."""
        return self._free_bytes

    def look(self, paths: Sequence[str]) -> Mapping[str, Found]:
        """Return what is at each of these paths; see `Editor.look`."""
        value, _ = self._ask({"do": "look", "paths": list(paths)})
        return {path: Found(*row) for path, row in value.items()}

    def resolve(self, path: str) -> str:
        """Return a path with the links on its way followed, which lead nowhere out of this file system."""
        return str(self._ask({"do": "resolve", "path": path})[0])

    def read(self, path: str) -> bytes:
        """Return the whole content of a file; see `Editor.read`."""
        return self._ask({"do": "read", "path": path})[1]

    def put(self, entries: Sequence[Entry]) -> Mapping[str, Sequence[Range]]:
        """Make these, in order, and return the ranges of the files; see `Editor.put`.

        Blocks reserved for root are given out too.
        """
        request = {"do": "put", "entries": [entry_row(one) for one in entries]}
        value, _ = self._ask(request, LIMIT_S + len(entries) / ENTRIES_A_SECOND)
        found = {path: [Range(*one) for one in ranges] for path, ranges in value.items()}
        for ranges in found.values():
            for one in ranges:
                self._check(one.start, one.length)
            self._clear_slack(ranges[-1].start + ranges[-1].length)
        return found

    def pieces(self) -> list[Piece]:
        """Free what was replaced, and return all that is to be written into the image."""
        places, data = self._ask({"do": "finish"})
        pieces, done = [], 0
        for at, length in places:
            self._check(at, length)
            pieces.append((at, data[done : done + length]))
            done += length
        return pieces

    def finish(self) -> None:
        """Write all of it into the view. Raises StalkerError when the image cannot be written."""
        try:
            for at, data in self.pieces():
                self._view.pwrite(data, at)
        except OSError as error:
            raise StalkerError(
                "the ext4 file system could not be written", str(error), "make room where the image is"
            ) from error

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _clear_slack(self, end: int) -> None:
        """Write zeros behind the end of a file in its last block, where they are none already: a hole stays one."""
        count = -(end - self._start) % self._block_bytes
        self._check(end, count)
        if self._view.pread(count, end).strip(b"\0"):
            self._view.pwrite(bytes(count), end)

    def _ask(self, request: Mapping[str, Any], limit_s: float = LIMIT_S) -> tuple[Any, bytes]:
        reply, data = self._worker.ask(packed(request), limit_s)
        if error := reply.get("error"):
            kind, *parts = error
            raise (NeedsRepair if kind == "repair" else StalkerError)(*parts)
        if bug := reply.get("bug"):
            raise RuntimeError(f"the editor of ext4 failed:\n{bug}")
        self._free_bytes = reply["free"]
        return reply["value"], data

    def _check(self, start: int, length: int) -> None:
        """Raise StalkerError for bytes outside of the file system: the worker is not trusted."""
        if not self._start <= start <= start + length <= self._end:
            raise StalkerError(
                "the editor of ext4 answered nonsense", f"{length} bytes at {start}", "check it: e2fsck -f"
            )


class _Worker:
    """The process, and what is written to and read from it."""

    def __init__(self, descriptor: int, start: int, size_bytes: int, mtime_s: int) -> None:
        image = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            numbers = [str(one) for one in (image, start, size_bytes, mtime_s)]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, str(PACKAGES), *numbers],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=(image,), start_new_session=True, bufsize=0,
            )  # fmt: skip
        finally:
            os.close(image)
        self.close = weakref.finalize(self, _end, self._process)

    def ask(self, request: bytes, limit_s: float) -> tuple[dict[str, Any], bytes]:
        """Send a request and return the answer. Raises StalkerError when the process ends or takes too long."""
        deadline = time.monotonic() + limit_s
        assert self._process.stdin is not None
        try:
            self._send(memoryview(request), deadline)
            length, more = FRAME.unpack(self._read(FRAME.size, deadline))
            if length + more > REPLY_BYTES:
                raise self._ended("it answered with too much")
            text = self._read(length, deadline)
            data = self._read(more, deadline)
            found: dict[str, Any] = json.loads(text)
        except (BrokenPipeError, EOFError):
            raise self._ended(_how_ended(self._process.wait())) from None
        except ValueError as error:
            raise self._ended(f"its answer is invalid: {error}") from error
        return found, data

    def _send(self, rest: memoryview, deadline: float) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        while rest:
            self._wait([], [pipe.fileno()], deadline)
            rest = rest[os.write(pipe.fileno(), rest) :]

    def _read(self, count: int, deadline: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None
        parts = []
        while count:
            self._wait([pipe.fileno()], [], deadline)
            data = os.read(pipe.fileno(), min(count, 1 << 20))
            if not data:
                raise EOFError
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def _wait(self, reads: list[int], writes: list[int], deadline: float) -> None:
        left = max(deadline - time.monotonic(), 0)
        if not any(select.select(reads, writes, [], left)):
            raise self._ended("it took too long")

    def _ended(self, why: str) -> StalkerError:
        self.close()
        return StalkerError(
            "a file system could not be edited: the editor of ext4 ended",
            f"{why}; nothing was changed",
            "the file system is probably damaged: e2fsck -f",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.kill()
    process.wait()


def _how_ended(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
