"""30 trivial steps in one stalk, each committed: what a step costs beside its work."""

from __future__ import annotations

from pathlib import Path

from inputs import Workspace, dockerfile, images_of
from peer import BUSYBOX, PREFIX, Peer
from timing import OURS, BenchError, Figure, in_turn, median

STEPS = 30
ROUNDS = 3
TINY = {"STEPS": 2}


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Run 30 steps that were never run before, against 30 RUN lines without cache."""

    def ours(number: int) -> float:
        workspace = Workspace(scratch / f"trivial{number}")
        tree = workspace.add_tree(f"trivial{number}", {"row": {"base": [{"tag": BUSYBOX}]}})
        workspace.add_stalk("row", _commands(number))
        took_s = workspace.stalker("run", tree, "--quiet")
        made = [name for name in peer.names(images_of(f"trivial{number}", "row")) if ":s" in name]
        if len(made) != STEPS:
            raise BenchError(f"{STEPS} steps left {len(made)} images")
        return took_s

    def with_builder(builder: str, number: int) -> float:
        context = dockerfile(scratch / f"trivial{number}-{builder}", BUSYBOX, _commands(number))
        return peer.build(builder, context, f"{PREFIX}trivial-{number}:{builder[0].lower()}", use_cache=False)

    found = in_turn(
        {
            OURS: ours,
            "BuildKit": lambda number: with_builder("BuildKit", number),
            "legacy builder": lambda number: with_builder("legacy builder", number),
        },
        rounds,
    )
    work = f"{STEPS} trivial steps, each committed"
    return [
        Figure(
            "trivial", work, median(found[OURS]), median(found[name]), name, bar=bar, aim=aim, rounds=found
        )
        for name, bar, aim in (("BuildKit", 0.5, 0.4), ("legacy builder", 0.4, 0.3))
    ]


def _commands(number: int) -> list[str]:
    return [f"echo {number}.{step} > /f{step}" for step in range(STEPS)]
