"""A TAB in a shell: commands, trees, options and steps of a workspace of 300 steps."""

from __future__ import annotations

from pathlib import Path

from inputs import Workspace
from peer import BUSYBOX, Peer
from timing import OURS, PYTHON, ROOT, BenchError, Figure, in_turn, median, run

STEPS = 300
ROUNDS = 11
TINY = {"STEPS": 3}
LIMIT_S = 0.15
LINES = {
    "commands": "stalker ",
    "trees": "stalker run ",
    "options": "stalker run bench --",
    "steps": "stalker log row:",
}


def measure(_: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Ask for completions as bash does."""
    workspace = Workspace(scratch / "completion")
    workspace.add_tree("bench", {"row": {"base": [{"tag": BUSYBOX}]}})
    workspace.add_stalk("row", ["true"] * STEPS)

    def complete(line: str) -> float:
        environment = {
            "PYTHONPATH": str(ROOT / "lib"),
            "_STALKER_COMPLETE": "bash_complete",
            "COMP_LINE": line,
            "COMP_WORDBREAKS": " ",
        }
        took_s, out = run([PYTHON, "-P", "-m", "stalker.cli"], cwd=workspace.path, env=environment)
        if not out.strip():
            raise BenchError(f"nothing completes '{line}'")
        return took_s

    for line in LINES.values():
        complete(line)  # the first one writes an outline of all commands
    found = in_turn({OURS: lambda _: max(complete(line) for line in LINES.values())}, rounds)
    return [
        Figure(
            "completion",
            "the slowest of four completions",
            median(found[OURS]),
            LIMIT_S,
            "limit",
            bar=1.0,
            rounds=found,
        )
    ]
