"""What a step writes, on its way to the observers: secrets masked, the end remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stalker.io.masking import Masker
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stalker.model.events import Event
    from stalker.model.tree import StepId

TAIL_BYTES = 1 << 16


class Output:
    """The output of one attempt of a step; `emit` gets an event for each piece."""

    def __init__(
        self, step: StepId, secrets: Iterable[str], emit: Callable[[Event], None], now: Callable[[], float]
    ) -> None:
        values = tuple(secrets)
        self._step, self._emit, self._now = step, emit, now
        self._maskers = {False: Masker(values), True: Masker(values)}
        self._tail = bytearray()

    def show(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001  the engine calls it so
        """Take a piece."""
        self._pass_on(self._maskers[is_stderr].feed(data), is_stderr)

    def flush(self) -> None:
        """Pass on what was held back in case it was the beginning of a secret."""
        for is_stderr, masker in self._maskers.items():
            self._pass_on(masker.flush(), is_stderr)

    @property
    def tail(self) -> str:
        """The end of it, as text."""
        return self._tail.decode("utf-8", "replace")

    def _pass_on(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        if data:
            self._tail += data
            del self._tail[:-TAIL_BYTES]
            stream: Literal["stdout", "stderr"] = "stderr" if is_stderr else "stdout"
            self._emit(events.StepOutput(self._now(), self._step, data, stream))
