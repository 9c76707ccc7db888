"""Who is told what is done with an image, and how a toolbox is opened for it."""

from __future__ import annotations

import contextlib
import functools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.cli.progress import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.image.toolbox import Toolbox


@dataclass(slots=True)
class Telling:
    """Tells on stderr what is done."""

    display: Display = field(default_factory=lambda: Display(quiet_s=1.0))

    def say(self, text: str) -> None:
        """Print a line."""
        self.display.end()
        # in one piece: downloads tell of themselves from their threads
        sys.stderr.write(f"stalker: {text}\n")
        sys.stderr.flush()

    def adder(self, doing: str, total_bytes: int) -> Callable[[int], None]:
        """Return what shows how far something is."""
        return self.display.adder(doing, total_bytes)

    def check(self) -> None:
        """Ctrl-C comes by itself here."""


@contextlib.contextmanager
def late_toolbox(told: Telling) -> Iterator[Callable[[], Toolbox]]:
    """Give what reaches the engine when it is first asked for a toolbox; containers of killed runs go then."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def toolbox() -> Toolbox:
            from stalker.cli.settings import connect
            from stalker.cli.toolbox import open_toolbox
            from stalker.run.sweep import sweep

            engine = connect()
            stack.callback(engine.close)
            sweep(engine, (), told.say)
            return open_toolbox(engine, told.say)

        yield toolbox
