"""A card image from a base of 1 GB and 1 GB of files, and files into a ready image, against `cp` and debugfs.

The image is written through to the disk before it takes the place of OUTPUT, so the peer is `cp` and `sync` of
what it wrote; `cp` alone, which leaves all in memory, is shown beside it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from peer import Peer
from timing import OURS, PYTHON, ROOT, BenchError, Figure, in_turn, median, run, say

MIB = 1 << 20
BASE_BYTES, BOOT_BYTES = 1024 * MIB, 64 * MIB
BOOT_START = 4 * MIB
FILES, FILE_BYTES = 8, 125_000_000
SMALL_BYTES, LARGE_BYTES = 800 * MIB, 8192 * MIB
INJECT_S = 0.5
"""What an injection into an ext4 may take, whatever the size of the image."""
STALKER = [PYTHON, "-m", "stalker.cli"]
PIECE = 16 * MIB
ROUNDS = 3
FILLED_PERCENT = 94
TINY = {
    "FILLED_PERCENT": 60,
    "BASE_BYTES": 160 * MIB,
    "SMALL_BYTES": 160 * MIB,
    "LARGE_BYTES": 320 * MIB,
    "FILES": 2,
    "FILE_BYTES": 1_000_000,
}

MAKE_BASE = """
set -e
truncate -s {size} {image}
sfdisk --quiet {image} <<END
label: dos
label-id: 0x5ca1ab1e
start={boot_start}, size={boot_size}, type=c
start={root_start}, type=83
END
mkfs.vfat -F 32 -s 1 --offset {boot_start} {image} {boot_kib} >/dev/null
mcopy -i {image}@@{boot_bytes} {boot} ::/firmware
mke2fs -q -F -t ext4 -b 4096 -L rootfs -E offset={root_bytes} -d {root} {image} {root_kib}k
"""


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Create an image of 2 GB; then put 1 KB onto the boot partition of one that is ready."""
    del peer
    base, config = _base(scratch), _config(scratch)
    say("  once: the toolbox is made, and all is read from memory after that")
    made = scratch / "made.img"
    _create(config, made)
    _check(made)
    created = in_turn(
        {
            OURS: lambda number: _create(config, scratch / f"made{number}.img", is_gone=True),
            "cp, sync": lambda _: _copy(scratch, [base, *_files(scratch)], is_synced=True),
            "cp": lambda _: _copy(scratch, [base, *_files(scratch)], is_synced=False),
        },
        rounds,
    )
    injection = scratch / "one.yaml"
    injection.write_text(
        "injections:\n  files:\n  - partition: boot\n    to: /one.txt\n    content: " + "x" * 1024 + "\n"
    )
    injected = in_turn(
        {
            OURS: lambda _: run([*STALKER, "image", "inject", str(made), str(injection)])[0],
            "cp, sync": lambda _: _copy(scratch, [made], is_synced=True),
            "cp": lambda _: _copy(scratch, [made], is_synced=False),
        },
        rounds,
    )
    ours, theirs, memory = (median(created[name]) for name in (OURS, "cp, sync", "cp"))
    own, copied, copied_memory = (median(injected[name]) for name in (OURS, "cp, sync", "cp"))
    work = "a card image of 1 GB and 1 GB of files"
    small = "1 KB into a ready image of 2 GB"
    return [
        Figure("create", work, ours, theirs, "cp and sync", bar=1.5, rounds=created),
        Figure("create", f"{work}, without sync", ours, memory, "cp into memory"),
        Figure("create", small, own, copied, "cp and sync", bar=0.2, rounds=injected),
        Figure("create", f"{small}, without sync", own, copied_memory, "cp into memory"),
        *_into_ext4(scratch, made, rounds),
        *_patched(scratch, base, rounds),
    ]


def _into_ext4(scratch: Path, made: Path, rounds: int) -> list[Figure]:
    """Put 1 KB into the root file system of an image of 2 GB, and of a small and a large one without content."""
    names = ("small.img", "large.img", "content", "script")
    small, large, content, script = (scratch / name for name in names)
    _make(small, SMALL_BYTES, scratch / "none", content)
    _make(large, LARGE_BYTES, scratch / "none", content)
    content.write_text("x" * 1024)
    script.write_text(f"rm /one.txt\nwrite {content} /one.txt\nset_inode_field /one.txt mode 0100644\n")
    injection = scratch / "root.yaml"
    text = "injections:\n  files:\n  - partition: root\n    to: /one.txt\n    content: "
    injection.write_text(text + "x" * 1024 + "\n")
    device = f"{made}?offset={BOOT_START + BOOT_BYTES}"
    debugfs = ["sh", "-ec", 'debugfs -w -f "$0" "$1" >/dev/null 2>&1; sync "$2"', script, device, made]
    found = in_turn(
        {
            OURS: lambda _: run([*STALKER, "image", "inject", str(made), str(injection)])[0],
            "small": lambda _: run([*STALKER, "image", "inject", str(small), str(injection)])[0],
            "large": lambda _: run([*STALKER, "image", "inject", str(large), str(injection)])[0],
            "debugfs": lambda _: run([str(word) for word in debugfs])[0],
        },
        rounds,
    )
    own, own_small, own_large, theirs = (median(found[name]) for name in (OURS, "small", "large", "debugfs"))
    work = "1 KB into the ext4 of an image of 2 GB"
    return [
        Figure("create", work, own, INJECT_S, "0.5 s", bar=1.0, rounds=found),
        Figure("create", f"{work}, beside a program that does it alone", own, theirs, "debugfs and sync"),
        Figure("create", "the same into one of 0.8 GB", own_small, INJECT_S, "0.5 s", bar=1.0),
        Figure("create", "the same into one of 8 GB", own_large, own_small, "into one of 0.8 GB", bar=1.3),
    ]


def _patched(scratch: Path, base: Path, rounds: int) -> list[Figure]:
    """Make a patch that puts 1 KB into the root file system of a base of 1 GB, and apply it.

    A patch has the SHA-256 of its base, and so has it read; what it is applied to is compared with that.
    """
    injection, patch, output = (scratch / name for name in ("root.yaml", "one.patch", "patched.img"))
    hashed = ["sh", "-ec", 'cp --reflink=never "$0" "$1"; sync "$1"; sha256sum "$1"', base, output]
    made = in_turn(
        {
            OURS: lambda _: run([*STALKER, "image", "patch", "-X", *map(str, (base, injection, patch))])[0],
            "sha256sum": lambda _: run(["sha256sum", str(base)])[0],
        },
        rounds,
    )
    applied = in_turn(
        {
            OURS: lambda _: run([*STALKER, "image", "apply", "-X", *map(str, (base, patch, output))])[0],
            "cp, sync, sha256sum": lambda _: run([str(word) for word in hashed])[0],
        },
        rounds,
    )
    run([*STALKER, "image", "apply", "-X", *map(str, (base, patch, output))])
    if output.stat().st_size != base.stat().st_size or patch.stat().st_size > MIB:
        raise BenchError(f"the patch has {patch.stat().st_size} bytes, its image {output.stat().st_size}")
    return [
        Figure(
            "create",
            "a patch of 1 KB for an image of 1 GB",
            *map(median, made.values()),
            "sha256sum",
            rounds=made,
        ),
        Figure(
            "create", "it applied", *map(median, applied.values()), "cp, sync and sha256sum", rounds=applied
        ),
    ]


def _base(scratch: Path) -> Path:
    """Make a base of which nearly every block holds something."""
    image, root = scratch / "base.img", scratch / "root"
    root.mkdir()
    root_start = BOOT_START + BOOT_BYTES
    root_bytes = BASE_BYTES - root_start
    _random(root / "system", root_bytes * FILLED_PERCENT // 100)
    boot = scratch / "boot"
    _random(boot, BOOT_BYTES * 9 // 10)
    _make(image, BASE_BYTES, root, boot)
    return image


def _make(image: Path, size_bytes: int, root: Path, boot: Path) -> None:
    """Make an image with a FAT that holds the file `boot`, and an ext4 that holds `root`, which goes."""
    root_start = BOOT_START + BOOT_BYTES
    root.mkdir(exist_ok=True)
    boot.touch()
    text = MAKE_BASE.format(
        size=size_bytes,
        image=image,
        boot_start=BOOT_START // 512,
        boot_size=BOOT_BYTES // 512,
        root_start=root_start // 512,
        boot_kib=BOOT_BYTES // 1024,
        boot_bytes=BOOT_START,
        boot=boot,
        root_bytes=root_start,
        root=root,
        root_kib=(size_bytes - root_start) // 1024,
    )
    run(["sh", "-c", text])
    shutil.rmtree(root)


def _files(scratch: Path) -> list[Path]:
    return [scratch / f"file{number}.bin" for number in range(FILES)]


def _config(scratch: Path) -> Path:
    for file in _files(scratch):
        _random(file, FILE_BYTES)
    config = scratch / "config.yaml"
    files = "".join(f"- url: file://{file}\n  to: /data/{file.name}\n" for file in _files(scratch))
    config.write_text(f"base: file://{scratch}/base.img\nfiles:\n{files}")
    return config


def _create(config: Path, output: Path, *, is_gone: bool = False) -> float:
    took_s, _ = run([*STALKER, "image", "create", str(config), str(output)], cwd=ROOT)
    if is_gone:
        output.unlink()
    return took_s


def _check(image: Path) -> None:
    if image.stat().st_blocks * 512 < BASE_BYTES * (FILLED_PERCENT - 4) // 100 + FILES * FILE_BYTES:
        raise BenchError(f"the image holds {image.stat().st_blocks * 512} bytes only")
    run([*STALKER, "image", "verify", str(image)], cwd=ROOT)


def _copy(scratch: Path, sources: list[Path], *, is_synced: bool) -> float:
    folder = scratch / "copied"
    folder.mkdir()
    words = 'cp --reflink=never "$@"' + ('; sync "$0"/*' if is_synced else "")
    took_s, _ = run(["sh", "-ec", words, str(folder), *map(str, sources), str(folder)])
    shutil.rmtree(folder)
    return took_s


def _random(path: Path, size_bytes: int) -> None:
    with path.open("wb") as stream:
        for _ in range(size_bytes // PIECE):
            stream.write(os.urandom(PIECE))
        stream.write(os.urandom(size_bytes % PIECE))
