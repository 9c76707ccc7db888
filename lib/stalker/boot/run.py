"""Boot a disk in QEMU, in the weakest of containers, and drive its serial console through a list of expectations.

The disk is mounted read-only and is never written: the machine writes to an overlay in memory that goes with the
container. The container goes whatever happens; of a run that was killed, the next one removes it.
"""

from __future__ import annotations

import secrets as random
import shlex
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from stalker.boot.boot_files import FOLDER, NotBootable
from stalker.boot.console import Console, Failed, Passed, Type, too_long
from stalker.boot.machines import Part, architecture_of
from stalker.boot.qemu import DISK_FOLDER, ENVIRONMENT, accelerator_for, opened, prepared
from stalker.errors import EngineError, StalkerError
from stalker.io.masking import Masker
from stalker.model.artifacts import Expectation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.boot.console import Instruction
    from stalker.model.artifacts import BootTest
    from stalker.toolbox.container import Tool, Toolbox

ASK_S = 0.1
COMPLAINT_BYTES = 2000


class Bench(Protocol):
    """Who has what a boot needs; a Workshop has."""

    @property
    def toolbox(self) -> Toolbox | None:
        """Who opens containers."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Those that are typed, and all that must not be shown."""

    @property
    def cancel(self) -> threading.Event:
        """Set when the user stops the run."""

    def check(self) -> None:
        """Raise Interrupted when the user stops the run."""


@dataclass(frozen=True, slots=True)
class BootResult:
    """How a boot test ended; `reason` is empty when it passed, `last_lines` are those of the console."""

    passed: bool
    reason: str
    last_lines: tuple[str, ...]
    duration_s: float
    machine: str
    accelerator: str


def boot_disk(
    test: BootTest,
    disk: Path,
    partitions: Sequence[Mapping[str, Any] | Part],
    workshop: Bench,
    log: Path,
    tell: Callable[[str], object] = lambda _: None,
) -> BootResult:
    """Boot a raw disk image as its test says; the transcript goes to `log`, without secrets.

    `partitions` are those of its manifest. `tell` receives what is waited for. Takes as long as the machine:
    seconds on `virt`, a minute or two for a whole Debian on `raspi2b`.

    Raises:
        StalkerError: the test cannot be run here; how the machine fared is in the result.
        Interrupted: the user stopped the run.
    """
    toolbox = toolbox_of(workshop)
    parts = [one if isinstance(one, Part) else part_of(one) for one in partitions]
    expectations = test.expectations or (Expectation("wait", "login:", test.place),)
    check_lines(expectations)
    architecture_of(test)
    tell(f"booting it on {test.machine}")
    began_s = time.monotonic()
    accelerator = accelerator_for(test, disk, parts, toolbox)
    with opened(toolbox, disk, test, accelerator) as tool:
        try:
            argv = prepared(tool, test, f"{DISK_FOLDER}/{disk.name}", parts, accelerator)
        except NotBootable as error:
            log.write_text(f"{error}\n")
            return BootResult(
                passed=False, reason=str(error), last_lines=(), duration_s=time.monotonic() - began_s,
                machine=test.machine, accelerator=accelerator,
            )  # fmt: skip
        drive = _Drive(test, expectations, workshop, log, tell)
        verdict = drive.through(tool, argv)
    return BootResult(
        passed=isinstance(verdict, Passed),
        reason=drive.masked(verdict.reason) if isinstance(verdict, Failed) else "",
        last_lines=tuple(drive.masked(line) for line in drive.console.last_lines()),
        duration_s=time.monotonic() - began_s,
        machine=test.machine,
        accelerator=accelerator,
    )


def toolbox_of(workshop: Bench) -> Toolbox:
    """Return the workshop's toolbox. Raises StalkerError when there is none."""
    if workshop.toolbox is None:
        raise StalkerError("nothing can be booted here", "there is no toolbox to run QEMU in")
    return workshop.toolbox


def part_of(facts: Mapping[str, Any]) -> Part:
    """Return a partition of a manifest."""
    return Part(
        number=int(facts["number"]),
        name=str(facts.get("name") or ""),
        filesystem=str(facts.get("filesystem") or ""),
        start_bytes=int(facts["start_bytes"]),
        size_bytes=int(facts["size_bytes"]),
        uuid=str(facts.get("partuuid") or ""),
        source=str(facts.get("source") or ""),
    )


def check_lines(expectations: Sequence[Expectation]) -> None:
    """Refuse what no terminal would take. Raises StalkerError."""
    long = too_long(expectations, random.token_hex(4))
    if long is not None:
        raise StalkerError(
            f"{long.place}: a terminal takes no line of {len(long.text)} characters",
            "",
            "put a script into the image, and run that",
        )


class _Drive:
    """One machine and its console.

    The engine calls back in a thread of its own; what is to be typed goes through a queue to the caller's.
    """

    def __init__(
        self,
        test: BootTest,
        expectations: Sequence[Expectation],
        workshop: Bench,
        log: Path,
        tell: Callable[[str], object],
    ) -> None:
        self.console = Console(
            expectations,
            timeout_s=test.timeout_s,
            now_s=time.monotonic(),
            token=random.token_hex(4),
            secrets=workshop.secrets,
        )
        self._test = test
        self._workshop = workshop
        self._masker = Masker(workshop.secrets.values())
        self._log_path = log
        self._tell = tell
        self._told = ""
        self._to_type: SimpleQueue[bytes] = SimpleQueue()
        self._is_over = threading.Event()
        self._complaint = bytearray()
        self._verdict: Passed | Failed | None = None

    def masked(self, text: str) -> str:
        """Return a text without secrets."""
        return self._masker.mask_text(text)

    def through(self, tool: Tool, argv: Sequence[str]) -> Passed | Failed:
        """Start QEMU, and go through the expectations until the verdict."""
        began_s = time.monotonic()
        with self._log_path.open("wb", buffering=0) as log:
            log.write(f"# {self.masked(shlex.join(argv))}\n".encode())

            def take(data: bytes, is_stderr: bool) -> None:  # noqa: FBT001  the engine calls it so
                if is_stderr:
                    self._complaint.extend(data[: COMPLAINT_BYTES - len(self._complaint)])
                    return
                log.write(self._masker.feed(data))
                self._act(self.console.feed(data, time.monotonic()))

            code = tool.engine.exec(
                tool.container,
                argv,
                ENVIRONMENT,
                take,
                user=tool.user,
                workdir=FOLDER,
                stop=self._must_stop,
                stdin=self._typed(),
            )
            self._is_over.set()
            log.write(self._masker.flush())
            self._workshop.check()
            if self._verdict is None and code is None:
                raise EngineError(
                    "the container of the boot test went away", "somebody else removed it, or memory ran out"
                )
            said = self._complaint.decode("utf-8", "replace").strip()
            self._act(self.console.ended(code, said, time.monotonic()))
            assert self._verdict is not None
            how = "passed" if isinstance(self._verdict, Passed) else f"failed: {self._verdict.reason}"
            log.write(f"\n# {self.masked(how)}, after {time.monotonic() - began_s:.1f} s\n".encode())
        return self._verdict

    def _act(self, said: Sequence[Instruction]) -> None:
        for one in said:
            if isinstance(one, Type):
                self._to_type.put(one.data)
            else:
                self._verdict = one
                self._is_over.set()
        waits_for = self.console.waits_for
        if waits_for and waits_for != self._told and self._verdict is None:
            self._told = waits_for
            self._tell(f"booting it on {self._test.machine}: waiting for {self.masked(waits_for)}")

    def _must_stop(self) -> bool:
        self._act(self.console.tick(time.monotonic()))
        return self._verdict is not None or self._workshop.cancel.is_set()

    def _typed(self) -> Iterator[bytes]:
        """Give what is to be typed; an empty piece now and then lets the engine see that QEMU has ended."""
        while not self._is_over.is_set():
            try:
                yield self._to_type.get(timeout=ASK_S)
            except Empty:
                yield b""
