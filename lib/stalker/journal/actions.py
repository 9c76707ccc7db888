"""Eliot actions with the times of events, in one file of their own.

Eliot's default logger sends to destinations of the whole process and stamps messages with the time of
writing. A `Trail` is a logger for one file: two of them never mix, and a message carries the time at
which the thing happened. Eliot is imported with the first message: that takes 15 ms and more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stalker.io.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Action = Any
"""An `eliot.Action`; eliot brings no types."""


class Trail:
    """One file of eliot messages, one JSON object a line, each line written at once.

    Not safe for threads by itself: its owner holds a lock.
    """

    def __init__(self, path: Path, masks: Sequence[str]) -> None:
        """Open `path` for appending; every text of every message loses the secrets in `masks`."""
        self._file = path.open("ab", buffering=0)
        self._masker = Masker(masks)
        self._at = 0.0
        self._fields: dict[str, Any] = {}

    def start(self, parent: Action | None, kind: str, at: float, **fields: Any) -> Action:
        """Begin an action below `parent`, or the one task of this file."""
        import eliot  # type: ignore[import-untyped]  # late: a program that runs no tree never logs

        self._at = at
        if parent is None:
            return eliot.start_task(self, kind, **fields)
        with parent.context():
            return eliot.start_action(self, kind, **fields)

    def log(self, action: Action, kind: str, at: float, **fields: Any) -> None:
        """Write a message into an action."""
        self._at = at
        action.log(kind, **fields)

    def finish(self, action: Action, at: float, error: BaseException | None = None, **fields: Any) -> None:
        """End an action, with `fields` in its last message whether it went well or not."""
        self._at = at
        self._fields = fields
        try:
            action.finish(error)
        finally:
            self._fields = {}

    def write(self, dictionary: dict[str, Any], serializer: object = None) -> None:  # noqa: ARG002
        """Take a message from eliot: this is its logger interface."""
        message = {**dictionary, **self._fields, "timestamp": self._at}
        self._file.write(json.dumps(self._masked(message), default=str).encode() + b"\n")

    def close(self) -> None:
        """Close the file; actions that are still open stay so in it."""
        self._file.close()

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masker.mask_text(value)
        if isinstance(value, dict):
            return {self._masked(key): self._masked(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(each) for each in value]
        return value
