"""The journal of a run: when it is written, where, and that it never disturbs the run."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import Interrupted
from stalker.io.atomic import replace_link
from stalker.journal.actions import Trail
from stalker.journal.reader import JOURNAL, run_journal
from stalker.journal.record import Record
from stalker.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOINGS = (
    ev.BaseStarted,
    ev.BaseFinished,
    ev.StepStarted,
    ev.StepBlocked,
    ev.ArtifactStarted,
    ev.ArtifactFinished,
    ev.RunFinished,
)


class Journal:
    """Observer that writes `<log_dir>/runs/<run>/eliot.txt` and points `<log_dir>/eliot.txt` at it.

    Nothing is written, and eliot not imported, before the run does something or ends. From then on
    each message is in the file when `on_event` returns, so the journal of a killed run reads up to
    where it was killed.
    """

    def __init__(self, log_dir: str | Path, run: str, masks: Sequence[str] = ()) -> None:
        """Take the directory of all logs, the run's id, and the secrets to mask."""
        self.path = run_journal(log_dir, run)
        self.problem = ""
        """Why the journal could not be written, for the user; empty when it could."""
        self._log_dir = Path(log_dir)
        self._run = run
        self._masks = tuple(masks)
        self._lock = threading.Lock()
        self._early: list[ev.Event] = []
        self._trail: Trail | None = None
        self._record: Record | None = None
        self._is_closed = False

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        if isinstance(event, ev.StepOutput | ev.BaseProgress):
            return
        with self._lock:
            if self._is_closed:
                return
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 - a full disk must not end the run
                self._give_up(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the journal; what is still open failed by `error`, or was interrupted."""
        with self._lock:
            if self._is_closed:
                return
            try:
                if self._early:
                    self._begin()
                if self._record:
                    self._record.break_off(
                        time.time(), error or Interrupted("the run did not say how it ended")
                    )
            except Exception as problem:  # noqa: BLE001
                self._give_up(problem)
            self._close_file()

    def _take(self, event: ev.Event) -> None:
        if self._record is None:
            self._early.append(event)
            if isinstance(event, _DOINGS):
                self._begin()
        else:
            self._record.write(event)
        if isinstance(event, ev.RunFinished):
            self._close_file()

    def _begin(self) -> None:
        """Write what was held back until something happened."""
        early, self._early = self._early, []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._trail = Trail(self.path, self._masks)
        self._record = Record(self._trail, self._run, early, min(event.at for event in early))
        try:
            _point_at(self._log_dir, self.path)
        except OSError as error:
            self.problem = f"{self._log_dir / JOURNAL} could not be made a link to {self.path}: {error}"

    def _give_up(self, error: Exception) -> None:
        self.problem = f"the journal {self.path} could not be written: {error}"
        self._close_file()

    def _close_file(self) -> None:
        self._is_closed = True
        if self._trail:
            with suppress(OSError):
                self._trail.close()


def _point_at(log_dir: Path, journal: Path) -> None:
    """Make `<log_dir>/eliot.txt` a link to the newest run's journal; a plain file there is kept."""
    link = log_dir / JOURNAL
    if link.exists() and not link.is_symlink():
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.localtime(link.stat().st_mtime))
        link.rename(log_dir / f"eliot-old-{stamp}.txt")
    replace_link(link, journal.relative_to(log_dir))
