"""8 branches of five `sleep 1`, 8 jobs: how near side by side comes to the longest way."""

from __future__ import annotations

from pathlib import Path

from inputs import Workspace, images_of
from peer import BUSYBOX, PREFIX, Peer
from timing import OURS, BenchError, Figure, in_turn, median

BRANCHES = 8
STEPS = 5
ROUNDS = 3
TINY = {"BRANCHES": 2, "STEPS": 1, "CRITICAL_PATH_S": 1.0}
CRITICAL_PATH_S = float(STEPS)


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Run a trunk with 8 branches, against the sleeps of one branch; BuildKit's stages for comparison."""

    def ours(number: int) -> float:
        name = f"branches{number}"
        workspace = Workspace(scratch / name)
        nested = {f"b{branch}": {} for branch in range(BRANCHES)}
        tree = workspace.add_tree(name, {"trunk": {"base": [{"tag": BUSYBOX}], **nested}})
        workspace.add_stalk("trunk", [f"echo {number} > /trunk"])
        for branch in range(BRANCHES):
            workspace.add_stalk(f"b{branch}", _commands(branch))
        took_s = workspace.stalker("run", tree, "--jobs", str(BRANCHES), "--quiet")
        made = [one for branch in range(BRANCHES) for one in peer.names(images_of(name, f"b{branch}:s"))]
        if len(made) != BRANCHES * STEPS:
            raise BenchError(f"{BRANCHES} branches of {STEPS} steps left {len(made)} images")
        return took_s

    def stages(number: int) -> float:
        folder = scratch / f"branches{number}-docker"
        folder.mkdir()
        lines = [f"FROM {BUSYBOX} AS trunk", f"RUN echo {number} > /trunk"]
        for branch in range(BRANCHES):
            lines += [f"FROM trunk AS b{branch}", *(f"RUN {command}" for command in _commands(branch))]
        lines += ["FROM scratch"]
        lines += [f"COPY --from=b{branch} /f{STEPS - 1} /f{branch}" for branch in range(BRANCHES)]
        (folder / "Dockerfile").write_text("\n".join([*lines, ""]))
        return peer.build("BuildKit", folder, f"{PREFIX}branches:{number}", use_cache=False)

    found = in_turn({OURS: ours, "BuildKit": stages}, rounds)
    work = f"{BRANCHES} branches of {STEPS} x sleep 1, {BRANCHES} jobs"
    took_s = median(found[OURS])
    return [
        Figure("branches", work, took_s, CRITICAL_PATH_S, "the critical path", bar=1.6, rounds=found),
        Figure("branches", work, took_s, median(found["BuildKit"]), "BuildKit, 8 stages", rounds=found),
    ]


def _commands(branch: int) -> list[str]:
    return [f"sleep 1; echo {branch} > /f{step}" for step in range(STEPS)]
