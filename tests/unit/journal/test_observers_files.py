"""What every run tells first."""

from __future__ import annotations

from dataclasses import replace

from build import stalk, step, tree
from stalker.journal.observers import report_files
from stalker.journal.views.plain import PlainView
from unit.helpers.streams import Pipe


def test_a_warning_and_its_remedy_are_one_line():
    """A line break in an event's text would be shown by its number."""
    doubtful = replace(tree(stalk("web", step("a"))), warnings=("s.hjson:3:5: rw here\n  use locked",))
    stream = Pipe()

    report_files(doubtful, PlainView(stream).on_event)

    assert stream.text == "warning: s.hjson:3:5: rw here; use locked\n"
