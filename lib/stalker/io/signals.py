"""A clean stop for a program that is ended by a service manager or a closed terminal."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from stalker.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


def end_like_ctrl_c() -> None:
    """Treat SIGTERM and SIGHUP as Ctrl-C from now on; under nohup they stay ignored."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, where nothing else handles them yet."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:  # under nohup it stays ignored
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise Interrupted at SIGTERM and SIGHUP: the container must be removed."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"ended by {signal.Signals(number).name}", "the container was removed")

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
