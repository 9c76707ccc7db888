r"""What the shell in a container reports, read out of the streams of a step.

Marks are `\x01stalker:<nonce>:<kind>[:<text>]\x01`; everything else is the script's own output.

    exit:CODE             the script has ended, in an exec of its own
    done:CODE:LEFT:CLEAN  all is undone; LEFT processes still run; CLEAN is 1 when nothing outside of the
                          layer differs from what it was when the session began
    left:K:NAME:PATHS     a placed file was moved or linked to PATHS, which may be unknown; it is removed
    bad                   something that was placed could not be taken away, or put back
    kept:DIR              a directory that the engine made for a mount was changed by the script
    linked:K:NAME         a file would take the place of one of the image that has other names too; not run
    enter:PATH  meet:K1:K2:NAME  workdir  interpreter  variable:NAME  unknown:USER   why the script was not run
    used:CPU:MEMORY       what the container has used by then: nanoseconds, and bytes at the most, empty if unknown
    end                   a program is through; on both streams, so nothing of it is still on its way
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HINDRANCES = {"enter", "meet", "workdir", "interpreter", "variable", "unknown"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a script was not run: a kind of `HINDRANCES`, and its text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a script used of the machine, by the kernel's count of its container; None where that is not known.

    `memory_bytes` is the most that the container held at once, with the files that it wrote: the page cache
    counts. `memory_at_most` says that an earlier step of the same container held as much or more.
    """

    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_at_most: bool = False


class Report:
    """Reads the marks, and passes on the rest.

    `exit_code` is None until the script has ended; `is_done` says that all was done about its files, and
    `is_undone` that it went well.
    """

    def __init__(self, nonce: str, on_output: Callable[[bytes, bool], None]) -> None:
        self._mark = f"\x01stalker:{nonce}:".encode()
        self._on_output = on_output
        self._held = {False: b"", True: b""}
        self._ends = 0
        self.exit_code: int | None = None
        self.is_done = False
        self.is_clean = False
        self.is_undone = True
        self.left = 0
        self.trouble: Trouble | None = None
        self.survivors: list[tuple[int, str, str]] = []
        self.linked: list[tuple[int, str]] = []
        self.kept: list[str] = []
        self._used: list[tuple[int, int | None]] = []

    @property
    def usage(self) -> Usage:
        """What was used between the first report of it and the last."""
        if len(self._used) < 2:
            return Usage()
        (cpu_before, memory_before), (cpu, memory) = self._used[0], self._used[-1]
        at_most = memory is not None and memory_before is not None and memory <= memory_before
        return Usage(max(0, cpu - cpu_before) / 1e9, memory, at_most)

    @property
    def has_ended(self) -> bool:
        """Return whether the end came on both streams, which are one where there is a terminal."""
        return self._ends == 2

    def next_program(self) -> None:
        """Forget the end of one program that a shell was fed, before the next of the same step."""
        self._ends = 0

    def feed(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001  the engine calls it so
        """Take some output."""
        data = self._held[is_stderr] + data
        self._held[is_stderr] = b""
        while (start := data.find(self._mark)) >= 0:
            end = data.find(b"\x01", start + 1)
            if end < 0:
                break
            self._pass(data[:start], is_stderr)
            self._read(data[start + len(self._mark) : end])
            data = data[end + 1 :]
        keep = len(data) - start if start >= 0 else self._beginning(data)
        if keep:
            self._held[is_stderr] = data[-keep:]
            data = data[:-keep]
        self._pass(data, is_stderr)

    def flush(self) -> None:
        """Pass on what was held back in case it was the beginning of a mark."""
        for is_stderr, data in self._held.items():
            self._pass(data, is_stderr)
            self._held[is_stderr] = b""

    def _beginning(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a mark."""
        longest = min(len(self._mark), len(data))
        return next((n for n in range(longest, 0, -1) if data.endswith(self._mark[:n])), 0)

    def _pass(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        if data:
            self._on_output(data, is_stderr)

    def _read(self, mark: bytes) -> None:
        kind, _, text = mark.decode("utf-8", "surrogateescape").partition(":")
        if kind == "end":
            self._ends += 1
        elif kind == "exit":
            self.exit_code = int(text)
        elif kind == "done":
            code, left, clean = text.split(":")
            if self.exit_code is None:
                self.exit_code = int(code)
            self.left, self.is_clean, self.is_done = int(left), clean == "1", True
        elif kind == "left":
            directory, name, paths = text.split(":", 2)
            self.survivors.append((int(directory), name, paths))
        elif kind == "linked":
            directory, name = text.split(":", 1)
            self.linked.append((int(directory), name))
            self.exit_code = 125
        elif kind == "used":
            cpu, _, memory = text.partition(":")
            if cpu.isdecimal():
                self._used.append((int(cpu), int(memory) if memory.isdecimal() else None))
        elif kind == "bad":
            self.is_undone = False
        elif kind == "kept":
            self.kept.append(text)
        elif kind in HINDRANCES:
            self.trouble = Trouble(kind, text)
            self.exit_code = 125
