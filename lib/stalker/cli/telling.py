"""Who is told what is done with an image, and how a toolbox is opened for it."""

from __future__ import annotations

import contextlib
import sys
import time
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
        opened: list[Toolbox] = []

        def toolbox() -> Toolbox:
            if not opened:
                from stalker.cli.settings import cache_dir, connect
                from stalker.cli.toolbox import image_maker
                from stalker.image.toolbox import Toolbox
                from stalker.run.owner import new_run_id
                from stalker.run.sweep import sweep

                engine = connect()
                stack.callback(engine.close)
                sweep(engine, (), told.say)
                maker = image_maker(engine, told.say)
                opened.append(Toolbox(engine, maker, new_run_id(time.time()), cache_dir=cache_dir()))
            return opened[0]

        yield toolbox
