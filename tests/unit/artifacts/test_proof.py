from __future__ import annotations

from stalker.artifacts.gates.gates import Finding
from stalker.artifacts.proof import remedies


def test_each_remedy_says_which_gate_it_is_for():
    """One line for each gate however much it found, and at the end how to waive one."""
    found = [
        Finding("logs", "/var/log/a", "1 file", "remove them", ""),
        Finding("logs", "/var/log/b", "1 file", "remove them", ""),
        Finding("setuid", "/bin/x", "is setuid", "chmod u-s", ""),
    ]

    assert remedies(found).splitlines() == [
        "logs: remove them",
        "setuid: chmod u-s",
        "or waive it with a reason: gates: { waive: { logs: 'WHY' } }",
    ]
