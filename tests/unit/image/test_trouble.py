from __future__ import annotations

import pytest

from stalker.image.console import Console, Failed
from stalker.model.artifacts import Expectation
from stalker.model.places import Place

DEVICE = r"dev-disk-by\x2dpartuuid-b9b1.device"
TIMED_OUT = f"Timed out waiting for device {DEVICE} - /dev/disk/by-partuuid/b9b1."
COLOURED = TIMED_OUT.replace(DEVICE, f"\x1b[0;1;39m{DEVICE}\x1b[0m")
TIME = f"[\x1b[0;1;31m TIME \x1b[0m] {COLOURED}\r\n"
LATER = "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mx.target\x1b[0m - X.\r\n" * 80
EMERGENCY = "You are in emergency mode. After logging in, type\r\n"


@pytest.mark.parametrize(
    ("before", "cause"),
    [
        (TIME, TIMED_OUT),
        (f"[   \x1b[0;31m*\x1b[0m] A start job is running (1min 29s / 1min 30s)\r\x1b[K{TIME}", TIMED_OUT),
        (f"[   95.123456] systemd[1]: {TIMED_OUT}\r\n", TIMED_OUT),
        (
            "[\x1b[0;1;38:5:185mDEPEND\x1b[0m] Dependency failed for /data.\r\n",
            "Dependency failed for /data.",
        ),
        (f"[DEPEND] Dependency failed for /data.\r\n{TIME}", TIMED_OUT),
    ],
    ids=["plain", "behind what it waits for", "in the kernel's log", "only what depends on it", "the surest"],
)
def test_emergency_mode_names_the_unit_from_80_lines_before(before, cause):
    """Colours, and how systemd showed that it waits, do not hide it."""
    console = Console([Expectation("wait", "login:", Place("t"))], timeout_s=900, now_s=0, token="x")

    said = console.feed((before + LATER + EMERGENCY).encode(), 1.0)

    assert said == [Failed(f"systemd is in emergency mode: {cause}")]
