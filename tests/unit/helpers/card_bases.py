"""Bases for card images, made by sfdisk and the tools of file systems, as vendors make theirs."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def tool(*argv: str, text: str | None = None, codes: tuple[int, ...] = (0,)) -> str:
    """Run a tool of this host; return what it said."""
    done = subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": SBIN, "MTOOLS_SKIP_CHECK": "1"},
    )
    assert done.returncode in codes, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Part:
    """A partition to be made, with `files` in it; its file system may be smaller than it."""

    kind: str
    mib: int
    label: str = ""
    options: tuple[str, ...] = ()
    files: int = 3
    type: str = ""
    filesystem_mib: int = 0


BOOT = Part("vfat", 16, "BOOT", type="c")
ROOT = Part("ext4", 24, "root")
DATA = Part("ext4", 16, "own")


def make_base(
    path: Path, parts: list[Part], label: str = "dos", *, more_bytes: int = 0, gap: int = 1024
) -> Path:
    """Make an image with random bytes wherever there is no partition, and files in each that holds any.

    `more_bytes` stand behind the last partition (a GPT stands there too), `gap` sectors between two.
    """
    path.unlink(missing_ok=True)
    end = 2048 + sum(part.mib * 2048 + gap for part in parts) - gap
    tail = 34 * 512 if label == "gpt" else 0
    chance = random.Random(path.name)
    with path.open("xb") as file:
        file.truncate(end * 512 + tail + more_bytes)
    lines, at = [f"label: {label}"], 2048
    if label == "dos":
        lines.append("label-id: 0x1a2b3c4d")
    starts = []
    for part in parts:
        kind = f", type={part.type}" if part.type and label == "dos" else ""
        lines.append(f"start={at}, size={part.mib * 2048}{kind}")
        starts.append(at * 512)
        at += part.mib * 2048 + gap
    tool("sfdisk", "-q", str(path), text="\n".join(lines))
    with path.open("r+b") as file:
        file.seek(64 * 512)
        file.write(chance.randbytes(200_000))
        for start, part in zip(starts, parts, strict=True):
            behind = min(gap * 512, end * 512 + tail + more_bytes - start - part.mib * MIB)
            if start != starts[-1]:
                file.seek(start + part.mib * MIB)
                file.write(chance.randbytes(min(behind, 300_000)))
        if label == "dos" and more_bytes:
            file.seek(end * 512)
            file.write(chance.randbytes(more_bytes))
    for start, part in zip(starts, parts, strict=True):
        _fill(path, start, part)
    return path


def content(number: int) -> bytes:
    """Return what is in file `number` of a partition."""
    return random.Random(number).randbytes(100_000 * number + 77)


def _fill(path: Path, start: int, part: Part) -> None:
    if part.kind == "ext4":
        size = str((part.filesystem_mib or part.mib) * 1024)
        options = [
            "-E",
            f"offset={start},nodiscard",
            *part.options,
            *(["-L", part.label] if part.label else []),
        ]
        tool("mke2fs", "-q", "-F", "-t", "ext4", *options, str(path), f"{size}k")
        for number in range(part.files):
            source = path.with_name("source")
            source.write_bytes(content(number))
            tool("debugfs", "-w", "-R", f"write {source} file{number}", f"{path}?offset={start}")
            source.unlink()
    elif part.kind == "vfat":
        sectors = str(part.mib * 1024)
        kind = "12" if part.mib < 9 else "16"
        tool(
            "mkfs.vfat",
            "-F",
            kind,
            "-n",
            part.label or "X",
            "--offset",
            str(start // 512),
            str(path),
            sectors,
        )
        source = path.with_name("config.txt")
        source.write_bytes(b"enable_uart=1\n")
        tool("mcopy", "-i", f"{path}@@{start}", str(source), "::/")
        source.unlink()


def table_of(path: Path) -> list[dict[str, object]]:
    """Return the partitions as sfdisk tells of them; it must find nothing wrong."""
    said = tool("sfdisk", "--verify", str(path))
    assert "No errors detected" in said, said
    found = json.loads(tool("sfdisk", "--json", str(path)))["partitiontable"]["partitions"]
    return [{key: value for key, value in one.items() if key != "node"} for one in found]


def is_sound(path: Path, start: int) -> bool:
    """Let e2fsck look at a file system, with all that it knows."""
    return tool("e2fsck", "-fn", f"{path}?offset={start}", codes=(0,)) is not None
