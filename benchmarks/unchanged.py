"""A tree of 100 steps again, nothing to do: what it costs to see that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from inputs import Workspace, dockerfile, images_of
from peer import BUSYBOX, PREFIX, Peer
from timing import OURS, BenchError, Figure, in_turn, median, say

STEPS = 100
ROUNDS = 11
TINY = {"STEPS": 3}
FIRST = "stalker, first"
"""The run right after the one that did the work: what later runs may keep for themselves is not there
yet, so each round begins with the cache folder as the work left it."""


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
    cache = Path(os.environ["XDG_CACHE_HOME"])
    after_work = scratch / "unchanged-cache"
    shutil.copytree(cache, after_work)
    names = peer.names(images_of("unchanged", "row"))
    before = peer.ask("image", "inspect", "--format", "{{.Id}}", image, *names)

    def first(_: int) -> float:
        shutil.rmtree(cache)
        shutil.copytree(after_work, cache)
        return workspace.stalker("run", tree, "--quiet")

    found = in_turn(
        {
            FIRST: first,
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
            f"{STEPS} steps again, nothing to do: {text}",
            median(found[side]),
            median(found["BuildKit"]),
            "BuildKit, all cached",
            bar=1.5,
            aim=1.0,
            rounds=found,
        )
        for side, text in ((FIRST, "the run after the work"), (OURS, "later runs"))
    ]
