"""What is found out of this host."""

from __future__ import annotations

import os
import subprocess

from stalker.host.install_engine import is_process


def test_a_zombie_is_no_process():
    """An engine that was killed and is not yet asked for by its parent has ended."""
    ended = subprocess.Popen(["sleep", "60"])
    before = is_process(str(ended.pid), "sleep")
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert (before, is_process(str(ended.pid), "sleep")) == (True, False)
    ended.wait()
