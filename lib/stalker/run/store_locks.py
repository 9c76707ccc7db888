"""Stores that one stalk has for itself: no other stalk of this host that locks one of them runs meanwhile.

Held by `flock`, as the names of images are, so they go with their process. A thread a stalk waits for
them and holds them; all that lock several take them in the order of their names, so none waits for ever.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from stalker.errors import Interrupted, StalkerError
from stalker.plan.run_state import Taken
from stalker.run.lock import hold_names

if TYPE_CHECKING:
    from collections.abc import Callable


class StoreLocks:
    """The stores that stalks of a run hold or wait for.

    `engine_key` tells one engine from another, `who` is shown to runs that wait, `say` gets a line
    when this one has to. `answer` gets `Taken` or what went wrong, in another thread.
    """

    def __init__(
        self,
        engine_key: str,
        who: str,
        say: Callable[[str], None],
        answer: Callable[[Taken | StalkerError], None],
    ) -> None:
        self._engine_key = engine_key
        self._who = who
        self._say = say
        self._answer = answer
        self._holding: dict[str, tuple[threading.Thread, threading.Event]] = {}

    def take(self, stalk: str, stores: tuple[str, ...]) -> None:
        """Begin to wait for the stores of a stalk, and hold them until `release`."""
        is_released = threading.Event()
        holder = threading.Thread(
            target=self._hold, args=(stalk, stores, is_released), name="stalker-store", daemon=True
        )
        self._holding[stalk] = (holder, is_released)
        holder.start()

    def release(self, stalk: str) -> None:
        """Give them back, or stop waiting; returns when they are free."""
        holder, is_released = self._holding.pop(stalk)
        is_released.set()
        holder.join()

    def close(self) -> None:
        """Give back all."""
        for stalk in list(self._holding):
            self.release(stalk)

    def _hold(self, stalk: str, stores: tuple[str, ...], is_released: threading.Event) -> None:
        names = [f"the store {store}" for store in stores]
        try:
            with hold_names(
                self._engine_key, names, self._who, wait=True, say=self._say, stop=is_released.is_set
            ):
                self._answer(Taken(stalk))
                is_released.wait()
        except Interrupted:
            return
        except StalkerError as error:
            self._answer(error)
