"""Export of a 500 MB image to a file, against `docker export` of a container that is there."""

from __future__ import annotations

import tarfile
from pathlib import Path

from inputs import Workspace
from peer import PREFIX, Peer, blob_layer
from timing import OURS, BenchError, Figure, in_turn, median, run, say

SIZE_BYTES = 500_000_000
FILES = 5_000
ROUNDS = 5
TINY = {"SIZE_BYTES": 5_000_000, "FILES": 100}
IMAGE = f"{PREFIX}export:1"
CONTAINER = "stalker-bench-export"


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Write the same 5,000 files out of the engine, ours normalised and put in place whole."""
    layer = blob_layer(scratch, "export", SIZE_BYTES, files=FILES)
    peer.load_image(IMAGE, [scratch / "busybox.tar", layer])
    layer.unlink()
    peer.ask("create", "--name", CONTAINER, IMAGE)
    workspace = Workspace(scratch / "export")

    def ours(number: int) -> float:
        file = scratch / f"ours{number}.tar"
        took_s = workspace.stalker("export", IMAGE, "-o", str(file))
        _check(file)
        return took_s

    def docker(number: int) -> float:
        file = scratch / f"docker{number}.tar"
        took_s = run([peer.program, "export", "-o", str(file), CONTAINER])[0]
        _check(file)
        return took_s

    say("  both sides once, so that both read from memory")
    ours(-1)
    docker(-1)
    found = in_turn({OURS: ours, "docker export": docker}, rounds)
    peer.ask("rm", CONTAINER)
    return [
        Figure(
            "export",
            f"export of a {SIZE_BYTES // 10**6} MB image",
            median(found[OURS]),
            median(found["docker export"]),
            "docker export -o",
            bar=1.2,
            rounds=found,
        )
    ]


def _check(file: Path) -> None:
    """Raise when a file does not hold what the image does; then remove it."""
    with tarfile.open(file, "r:") as archive:
        blobs = [entry.size for entry in archive if "blob/" in entry.name and entry.isreg()]
    if len(blobs) != FILES or sum(blobs) != SIZE_BYTES:
        raise BenchError(f"{file.name} has {len(blobs)} files of {sum(blobs)} bytes")
    file.unlink()
