"""A daemonized script: started in an exec of its own, and up when that shows.

its interpreter has begun to read it            from here on its files may be taken away
it lives a moment longer                        one that fails at once fails its step
it is ready, where the tree says what that is   a port it listens on, a command, a line it writes
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from stalker.errors import StalkerError, StepFailed
from stalker.model.tree import PLUGINS_DIR
from stalker.run.script.payload import asking_program
from stalker.run.script.report import Report
from stalker.run.script.run_script import RUN, enter, feed, undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.interface import Engine
    from stalker.model.tree import Ready, Step
    from stalker.run.script.output import Output
    from stalker.run.script.payload import Payload
    from stalker.run.session import Session

POLL_S = 0.05
MOMENT_S = 0.3
"""A script that ends within this after it was opened did not come up."""

UNSEEN_S = 5.0
"""Where a file system keeps no times of reading (noatime), a script that still runs after this has been read."""

COMMAND_POLL_S = 0.5


class _Running:
    """A daemonized script under way, in a thread of its own."""

    def __init__(self, engine: Engine, session: Session, payload: Payload, output: Output) -> None:
        self.engine, self.session, self.payload, self.output = engine, session, payload, output
        self._report = Report(payload.nonce, output.show)
        self._code: int | None = None
        self._thread = threading.Thread(target=self._run, name="stalker-service", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            user = self.payload.start.user or "0"
            self._code = self.engine.exec(
                self.session.container, RUN, {}, self._report.feed, user=user, tty=self.payload.start.tty
            )
        except StalkerError:
            return  # its container was removed at the end of the stalk

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    @property
    def exit_code(self) -> int | None:
        """How the script ended; None while it runs."""
        return self._report.exit_code

    @property
    def code(self) -> int | None:
        """How the program that ran the script ended."""
        return self._code

    def wait(self, pause_s: float) -> None:
        self._thread.join(pause_s)

    def asks(self, call: str) -> bool:
        """Ask the session's shell; False also when that is gone."""
        report = Report(self.payload.nonce, lambda _data, _err: None)
        feed(self.engine, self.session, asking_program(call, self.payload.nonce), report, lambda: False)
        return report.exit_code == 0


def start_service(
    engine: Engine,
    session: Session,
    payload: Payload,
    step: Step,
    output: Output,
    report: Report,
    stop: Callable[[], bool],
) -> int | None:
    """Start a script that stays up, and wait until it is; return the exit code of what ended without a report.

    Raises:
        StepFailed: it did not become ready in time.
    """
    if not enter(engine, session, payload, report, stop):
        return None
    running = _Running(engine, session, payload, output)
    _wait_until_open(running, f"{PLUGINS_DIR}/{step.name}", stop)
    if step.ready is not None and not _has_failed(running):
        _wait_until_ready(running, step, step.ready, stop)
    if running.is_over and running.exit_code is None:
        return running.code
    report.exit_code = running.exit_code or 0
    undo(engine, session, payload, report)
    report.left = max(report.left, 0 if running.is_over else 1)
    return None


def _has_failed(running: _Running) -> bool:
    return running.is_over and running.exit_code != 0


def _wait_until_open(running: _Running, path: str, stop: Callable[[], bool]) -> None:
    """Wait until the interpreter has opened the script, and a moment more; or until the script has ended."""
    end_s = time.monotonic() + UNSEEN_S
    running.wait(POLL_S)
    while not (running.is_over or stop() or time.monotonic() > end_s or running.asks(f"_stk_open {path}")):
        running.wait(POLL_S)
    end_s = time.monotonic() + MOMENT_S
    while not running.is_over and not stop() and time.monotonic() < end_s:
        running.wait(POLL_S)


def _wait_until_ready(running: _Running, step: Step, ready: Ready, stop: Callable[[], bool]) -> None:
    end_s = time.monotonic() + ready.timeout_s
    while not _is_ready(running, ready, lambda: stop() or time.monotonic() > end_s):
        if _has_failed(running) or stop():
            return
        if time.monotonic() > end_s:
            raise StepFailed(
                f"{step.id} was not ready within {ready.timeout_s:g} s",
                f"{ready.place.short}: it waits for {ready.text}",
                "look at what it printed; a longer time: ready: { timeout: 5m }",
            )
        running.wait(COMMAND_POLL_S if ready.kind == "command" else POLL_S)


def _is_ready(running: _Running, ready: Ready, stop: Callable[[], bool]) -> bool:
    if ready.kind == "port":
        return running.asks(f"_stk_listens {int(ready.value):04X}")
    if ready.kind == "log":
        return re.search(ready.value, running.output.tail, re.MULTILINE) is not None
    argv = ("/bin/sh", "-c", ready.value)
    user = running.payload.start.user or "0"
    code = running.engine.exec(
        running.session.container, argv, {}, lambda _data, _err: None, user=user, stop=stop
    )
    return code == 0
