"""SIGTERM and SIGHUP end a command as Ctrl-C does."""

import os
import signal

import pytest

from stalker.errors import Interrupted
from stalker.io.signals import ENDING, ended_by_signals, ended_like_ctrl_c


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize(
    ("handler", "error"), [(ended_by_signals, Interrupted), (ended_like_ctrl_c, KeyboardInterrupt)]
)
def test_a_signal_ends_the_command_and_the_handler_is_restored(number, handler, error):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(error), handler():
            os.kill(os.getpid(), number)

        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_under_nohup_sighup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_like_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)

            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
