"""A prune of 200 steps: what it costs to let go of images, beside docker's own command for the same images."""

from __future__ import annotations

from pathlib import Path

from inputs import Workspace, images_of
from peer import BUSYBOX, Peer
from timing import OURS, BenchError, Figure, in_turn, median, run

STEPS = 200
ROUNDS = 2
TINY = {"STEPS": 3}


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Remove the images of 200 steps, against `docker rmi` of the names of as many."""

    def made(name: str) -> tuple[Workspace, str, list[str]]:
        workspace = Workspace(scratch / name)
        tree = workspace.add_tree(name, {"row": {"base": [{"tag": BUSYBOX}]}})
        workspace.add_stalk("row", [f"echo {name}.{step} > /f{step}" for step in range(STEPS)])
        workspace.stalker("run", tree, "--quiet")
        return workspace, tree, peer.names(images_of(name, "row"))

    def ours(number: int) -> float:
        workspace, tree, _ = made(f"prune{number}")
        took_s = workspace.stalker("prune", tree, "--yes")
        left = [name for name in peer.names(images_of(f"prune{number}", "row")) if ":s" in name]
        if left:
            raise BenchError(f"{len(left)} images were not removed")
        return took_s

    def theirs(number: int) -> float:
        _, _, names = made(f"rmi{number}")
        return run([peer.program, "rmi", *reversed(names)])[0]

    found = in_turn({OURS: ours, "docker rmi": theirs}, rounds)
    return [
        Figure(
            "prune",
            f"prune of {STEPS} steps",
            median(found[OURS]),
            median(found["docker rmi"]),
            "docker rmi",
            bar=1.5,
            aim=1.0,
            rounds=found,
        )
    ]
