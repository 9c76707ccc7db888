"""Lines of config.txt."""

from __future__ import annotations

import pytest

from stalker.card.inject.firmware_config import with_lines
from stalker.card.inject.inject import inject
from stalker.errors import StalkerError
from stalker.model.card import Injections
from unit.helpers.memory_editor import MemoryEditor, MemoryEditors

LINES = ("enable_uart=1", "dtoverlay=dwc2")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "enable_uart=1\ndtoverlay=dwc2\n"),
        ("a=1", "a=1\nenable_uart=1\ndtoverlay=dwc2\n"),
        ("a=1\r\n", "a=1\r\nenable_uart=1\r\ndtoverlay=dwc2\r\n"),
        ("[pi4]\na=1\n", "[pi4]\na=1\n[all]\nenable_uart=1\ndtoverlay=dwc2\n"),
        ("enable_uart=1\n[pi4]\ndtoverlay=dwc2\n", None),
        ("enable_uart=1\ndtoverlay=dwc2\nenable_uart=0\n", None),
    ],
)
def test_lines_hold_for_all_boards_and_come_last(before, after):
    """A line below a filter holds for that alone, and of a key the last value counts."""
    result = with_lines(before, LINES)

    assert result.startswith(before)
    assert after is None or result == after
    assert with_lines(result, LINES) == result != before


def test_a_boot_partition_without_one_is_refused():
    """No other board reads it."""
    editors = MemoryEditors(boot=MemoryEditor({"/grub.cfg": "x"}))

    with pytest.raises(StalkerError, match=r"has no config\.txt"):
        inject(editors, Injections(config_txt=LINES), lambda secret: secret.text)
