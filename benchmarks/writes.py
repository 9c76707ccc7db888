"""20 steps that each write 20 MB: time, and how often the engine stores a byte."""

from __future__ import annotations

from pathlib import Path

from inputs import Workspace, dockerfile, images_of
from peer import PREFIX, Peer, blob_layer
from timing import OURS, Figure, in_turn, median

STEPS = 20
EACH_BYTES = 20_000_000
ROUNDS = 3
TINY = {"STEPS": 2, "EACH_BYTES": 1_000_000}
BASE = f"{PREFIX}blob:1"


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Copy 20 MB of random bytes in each of 20 steps, against 20 RUN lines without cache."""
    peer.load_image(BASE, [scratch / "busybox.tar", blob_layer(scratch, "blob", EACH_BYTES)])
    stored: dict[str, list[float]] = {OURS: [], "BuildKit": []}

    def ours(number: int) -> float:
        name = f"writes{number}"
        workspace = Workspace(scratch / name)
        tree = workspace.add_tree(name, {"row": {"base": [{"tag": BASE}]}})
        workspace.add_stalk("row", _commands(number))
        took_s = workspace.stalker("run", tree, "--quiet")
        stored[OURS].append(peer.stored_bytes(peer.names(images_of(name, "row:s")), BASE) / 1e6)
        return took_s

    def buildkit(number: int) -> float:
        context = dockerfile(scratch / f"writes{number}-docker", BASE, _commands(number))
        image = f"{PREFIX}writes:{number}"
        took_s = peer.build("BuildKit", context, image, use_cache=False)
        stored["BuildKit"].append(peer.stored_bytes([image], BASE) / 1e6)
        return took_s

    found = in_turn({OURS: ours, "BuildKit": buildkit}, rounds)
    work = f"{STEPS} steps that each write {EACH_BYTES // 10**6} MB"
    written_mb = STEPS * EACH_BYTES / 1e6
    return [
        Figure(
            "writes", work, median(found[OURS]), median(found["BuildKit"]), "BuildKit", bar=1.0, rounds=found
        ),
        Figure(
            "writes",
            f"{work}: stored",
            max(stored[OURS]),
            written_mb,
            "bytes written",
            unit="MB",
            bar=1.3,
            rounds=stored,
        ),
    ]


def _commands(number: int) -> list[str]:
    return [f"cp /blob/0/0 /f{step}; echo {number} >> /f{step}" for step in range(STEPS)]
