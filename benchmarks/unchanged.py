"""The same tree of 100 steps again, nothing to do: what it costs to see that."""

from __future__ import annotations

from pathlib import Path

from peer import BUSYBOX, PREFIX, Peer
from timing import OURS, BenchError, Figure, in_turn, median, say
from workspace import Workspace, dockerfile, images_of

STEPS = 100
ROUNDS = 11


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Run a tree that is done, against a build that is fully cached."""
    commands = [f"echo {step} > /g{step}" for step in range(STEPS)]
    workspace = Workspace(scratch / "unchanged")
    tree = workspace.add_tree("unchanged", {"row": {"base": [{"tag": BUSYBOX}]}})
    workspace.add_stalk("row", commands)
    context = dockerfile(scratch / "unchanged-docker", BUSYBOX, commands)
    image = f"{PREFIX}unchanged:1"

    say("  both sides once, so that there is nothing left to do")
    workspace.stalker("run", tree, "--quiet")
    peer.build("BuildKit", context, image)
    names = peer.names(images_of("unchanged", "row"))
    before = peer.ask("image", "inspect", "--format", "{{.Id}}", image, *names)

    found = in_turn(
        {
            OURS: lambda _: workspace.stalker("run", tree, "--quiet"),
            "BuildKit": lambda _: peer.build("BuildKit", context, image),
        },
        rounds,
    )

    if before != peer.ask("image", "inspect", "--format", "{{.Id}}", image, *names):
        raise BenchError("there was something to do after all: images are other ones now")
    return [
        Figure(
            "unchanged",
            f"the same {STEPS} steps again, nothing to do",
            median(found[OURS]),
            median(found["BuildKit"]),
            "BuildKit, all cached",
            bar=1.5,
            aim=1.0,
            rounds=found,
        )
    ]
