"""A disk image of a committed 500 MB root file system, against `docker export`, mke2fs and mcopy by hand."""

from __future__ import annotations

import io
import json
import os
import shlex
import tarfile
from pathlib import Path

from peer import PREFIX, Peer, blob_layer
from timing import OURS, PYTHON, ROOT, BenchError, Figure, in_turn, median, run, say

SIZE_BYTES = 470_000_000
FILES = 15_000
BOOT_FILES = 30
ROUNDS = 5
TINY = {"SIZE_BYTES": 5_000_000, "FILES": 100}
IMAGE = f"{PREFIX}disk:1"
CONTAINER = "stalker-bench-disk"
TOOLBOX = "stalker/toolbox/1/toolbox:final"
PEAK_KB = 120 << 10
MIB = 1 << 20
BOOT_START, BOOT_MIB, ROOT_MIB = 4 * MIB, 64, 768

BY_HAND = """
set -e
truncate -s {size} {image}
{tools} mkfs.vfat -F 32 -s 1 -n BOOT --offset {boot_sector} {image} {boot_kib} >/dev/null
docker cp {container}:/boot - | tar -x -C {stage}
(cd {stage}/boot && {tools} mcopy -s -m -i {image}@@{boot_start} ./* ::)
docker export {container} | {tools} mke2fs -q -F -t ext4 -b 4096 -L rootfs -E offset={root_start} -d - {image} {root_mib}M
"""


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Make a FAT with 30 MB and an ext4 with the rest, at fixed sizes and at those that the content needs."""
    layer = blob_layer(scratch, "disk", SIZE_BYTES, files=FILES)
    boot = _boot_layer(scratch)
    peer.load_image(IMAGE, [scratch / "busybox.tar", layer, boot])
    layer.unlink()
    peer.ask("create", "--name", CONTAINER, IMAGE)
    say("  each side once: the toolbox is made, and all is read from memory after that")
    _assemble(scratch, "warm", "fixed", scratch / "cache")
    tools = _tools_by_hand(peer, scratch)
    _by_hand(scratch, tools, -1)
    peaks: list[float] = []

    def side(size: str, cache: str):
        def one(number: int) -> float:
            found = _assemble(scratch, f"{cache}{number}", size, scratch / cache.format(number=number))
            peaks.append(found["peak_kb"])
            return float(found["took_s"])

        return one

    side("auto", "noted")(-1)  # as after any run before
    found = in_turn(
        {
            OURS: side("fixed", "fixed"),
            "auto": side("auto", "noted"),
            "auto, first": side("auto", "new{number}"),
            "by hand": lambda number: _by_hand(scratch, tools, number),
        },
        rounds,
    )
    peer.ask("rm", CONTAINER)
    theirs = median(found["by hand"])
    name = "docker export, mke2fs, mcopy"
    work = "a disk of a 500 MB root file system"
    return [
        Figure("disk", f"{work}, fixed sizes", median(found[OURS]), theirs, name, bar=1.3, rounds=found),
        Figure("disk", f"{work}, size: auto", median(found["auto"]), theirs, name, bar=1.3),
        Figure("disk", f"{work}, size: auto, the first time", median(found["auto, first"]), theirs, name),
        Figure("disk", "its peak memory", max(peaks), PEAK_KB, "limit", "kB", bar=1.0),
    ]


def _boot_layer(scratch: Path) -> Path:
    layer = scratch / "boot.tar"
    with tarfile.open(layer, "w") as archive:
        folder = tarfile.TarInfo("boot")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for number in range(BOOT_FILES):
            entry = tarfile.TarInfo(f"boot/file{number}")
            entry.size = 1_000_000
            archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return layer


def _assemble(scratch: Path, name: str, size: str, cache: Path) -> dict:
    folder = scratch / f"ours-{name}"
    folder.mkdir()
    said = run([PYTHON, str(ROOT / "benchmarks/assemble.py"), IMAGE, str(folder), str(cache), size])[1]
    found = json.loads(said.splitlines()[-1])
    root = found["disk"]["partitions"][1]
    if root["entries"] < FILES or root["used_bytes"] < SIZE_BYTES:
        raise BenchError(f"the disk holds {root['entries']} entries of {root['used_bytes']} bytes")
    (folder / "disk.img").unlink()
    return found


def _tools_by_hand(peer: Peer, scratch: Path) -> str:
    """Take the programs out of our own toolbox, so that both sides run the same ones; return how to call one."""
    root = scratch / "tools"
    root.mkdir()
    peer.ask("create", "--name", f"{CONTAINER}-tools", TOOLBOX, "true")
    archive = scratch / "tools.tar"
    peer.ask("export", "-o", str(archive), f"{CONTAINER}-tools")
    peer.ask("rm", f"{CONTAINER}-tools")
    run(["tar", "-x", "-f", str(archive), "-C", str(root), "--exclude", "dev"])
    archive.unlink()
    loader = next(root.glob("usr/lib*/ld-linux*"), None) or next(root.glob("usr/lib/*/ld-linux*"))
    libraries = (
        loader.parent
        if (loader.parent / "libc.so.6").exists()
        else next(root.glob("usr/lib/*/libc.so.6")).parent
    )
    wrapper = scratch / "tool"
    wrapper.write_text(
        f"#!/bin/sh\nname=$1; shift\n[ -e {root}/usr/sbin/$name ] && at=sbin || at=bin\n"
        f'exec {loader} --library-path {libraries} {root}/usr/$at/$name "$@"\n'
    )
    wrapper.chmod(0o755)
    return str(wrapper)


def _by_hand(scratch: Path, tools: str, number: int) -> float:
    folder = scratch / f"hand{number}"
    (folder / "stage").mkdir(parents=True)
    image = folder / "disk.img"
    root_start = BOOT_START + BOOT_MIB * MIB
    script = BY_HAND.format(
        image=image,
        size=root_start + ROOT_MIB * MIB,
        tools=shlex.quote(tools),
        boot_sector=BOOT_START // 512,
        boot_kib=BOOT_MIB * 1024,
        boot_start=BOOT_START,
        root_start=root_start,
        root_mib=ROOT_MIB,
        stage=folder / "stage",
        container=CONTAINER,
    )
    took_s = run(["bash", "-o", "pipefail", "-c", script])[0]
    if image.stat().st_blocks * 512 < SIZE_BYTES:
        raise BenchError("the disk made by hand holds too little")
    image.unlink()
    return took_s
