"""A request to stop reaches what works, whenever it comes."""

from __future__ import annotations

import pytest

from stalker.errors import Interrupted
from stalker.io.cancel import Cancel


def test_what_works_is_stopped_once():
    """A second request changes nothing."""
    cancel, stopped = Cancel(), []
    with cancel.stopping(lambda: stopped.append("work")):
        cancel.set()
        cancel.set()

    assert stopped == ["work"]


def test_work_that_begins_after_the_request_is_stopped_at_once():
    cancel, stopped = Cancel(), []
    cancel.set()
    with cancel.stopping(lambda: stopped.append("work")):
        assert stopped == ["work"]

    assert stopped == ["work"]


def test_work_that_is_over_is_not_stopped():
    cancel, stopped = Cancel(), []
    with cancel.stopping(lambda: stopped.append("work")):
        pass
    cancel.set()

    assert stopped == []


def test_who_looks_is_interrupted():
    """Before the request nothing is raised."""
    cancel = Cancel()
    cancel.check()
    cancel.set()

    assert cancel.is_set()
    with pytest.raises(Interrupted):
        cancel.check()
