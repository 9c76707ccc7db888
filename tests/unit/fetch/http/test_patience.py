"""Pauses double, are never shorter than the server asks, and end at a minute."""

import pytest

from stalker.fetch.http.patience import LONGEST_PAUSE_S, Patience
from stalker.fetch.http.stop import Stop


@pytest.mark.parametrize(
    ("failures", "asked_s", "pause_s"),
    [
        (1, 0, 1),
        (2, 0, 2),
        (4, 0, 8),
        (1, 7, 7),
        (5, 7, 16),
        (9, 0, LONGEST_PAUSE_S),
        (1, 9e9, LONGEST_PAUSE_S),
    ],
)
def test_a_pause_doubles_with_each_failure(failures, asked_s, pause_s):
    """Or is as long as the server asks for."""
    assert Patience().pause_s(failures, asked_s) == pause_s


def test_waiting_ends_when_it_is_stopped():
    """An hour is over at once."""
    stop = Stop()
    stop.set()

    Patience().wait(3600.0, stop)


def test_another_clock_can_wait():
    """As tests do."""
    waited = []
    Patience(pause=waited.append).wait(5.0, Stop())

    assert waited == [5.0]
