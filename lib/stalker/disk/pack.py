"""The forms in which a disk image is published: packed with all cores, and a map of the blocks that hold data.

Packing gives the same bytes however many cores there are: all programs cut the input into pieces of a
fixed size, and no name or time of the file is noted but the one we set.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from stalker.io.progress import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.io.progress import Reporter
    from stalker.toolbox.container import Tool

BLOCK = 4096
CHUNK_BYTES = 1 << 20

PACKERS = {
    "img.zst": (".zst", 'zstd -q -T0 -9 -f -o "$2" "$1"'),
    "img.xz": (".xz", 'xz -c -T+0 -6 "$1" >"$2"'),
    "img.gz": (".gz", 'pigz -c -n -6 "$1" >"$2"'),
    "zip": (".zip", 'pigz -c -K -6 "$1" >"$2"'),
}
"""Format -> ending, and the shell text that packs $1 into $2. `zip` takes the place of `.img`."""


def pack(
    image: Path, formats: tuple[str, ...], tool: Tool, out: str, reporter: Reporter, epoch_s: int
) -> list[Path]:
    """Write the forms of an image next to it, and return their paths; `out` is its directory in the container."""
    os.utime(image, (epoch_s, epoch_s))  # a zip holds it
    made: list[Path] = []
    for name in formats:
        if name == "img":
            continue
        if name == "bmap":
            made.append(image.with_suffix(".bmap"))
            task = Task(f"writing {made[-1].name}", reporter, _stored_bytes(image))
            made[-1].write_text(bmap_text(image, task.add), encoding="utf-8")
            continue
        ending, text = PACKERS[name]
        path = image.with_suffix(ending) if name == "zip" else image.with_name(image.name + ending)
        Task(f"writing {path.name}", reporter)  # a packer does not report how far it is
        made.append(path)
        try:
            tool.run(["sh", "-ec", text, "sh", f"{out}/{image.name}", f"{out}/{path.name}"])
        except BaseException:
            for one in made:
                one.unlink(missing_ok=True)
            raise
    return made


def _stored_bytes(image: Path) -> int:
    return image.stat().st_blocks * 512


def data_ranges(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what a sparse file stores, in whole blocks, each range as long as can be."""
    at = 0
    last: tuple[int, int] | None = None
    while at < size_bytes:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        begin, end = begin // BLOCK * BLOCK, min(-(-at // BLOCK) * BLOCK, size_bytes)
        if last is not None and begin <= last[1]:
            last = (last[0], end)
            continue
        if last is not None:
            yield last
        last = (begin, end)
    if last is not None:
        yield last


def bmap_text(image: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Return the block map of an image, version 2.0 of the format of bmap-tools: ranges with their SHA-256.

    What is in no range was never written and need not be written to a card.
    """
    size = image.stat().st_size
    lines = []
    mapped = 0
    with image.open("rb", buffering=0) as stream:
        for begin, end in data_ranges(stream.fileno(), size):
            digest = hashlib.sha256()
            for at in range(begin, end, CHUNK_BYTES):
                piece = os.pread(stream.fileno(), min(CHUNK_BYTES, end - at), at)
                digest.update(piece)
                on_bytes(len(piece))
            first, last = begin // BLOCK, -(-end // BLOCK) - 1
            mapped += last - first + 1
            blocks = f"{first}-{last}" if last > first else str(first)
            lines.append(f'        <Range chksum="{digest.hexdigest()}"> {blocks} </Range>')
    blocks_count = -(-size // BLOCK)
    empty = "0" * 64
    text = "\n".join(
        [
            '<?xml version="1.0" ?>',
            f"<!-- What of {escape(image.name.replace('--', '-'))} holds data: bmaptool copy writes that alone. -->",
            '<bmap version="2.0">',
            f"    <ImageSize> {size} </ImageSize>",
            f"    <BlockSize> {BLOCK} </BlockSize>",
            f"    <BlocksCount> {blocks_count} </BlocksCount>",
            f"    <MappedBlocksCount> {mapped} </MappedBlocksCount>",
            "    <ChecksumType> sha256 </ChecksumType>",
            f"    <BmapFileChecksum> {empty} </BmapFileChecksum>",
            "    <BlockMap>",
            *lines,
            "    </BlockMap>",
            "</bmap>",
            "",
        ]
    )
    # The checksum of the file is reckoned with zeros in its own place.
    return text.replace(empty, hashlib.sha256(text.encode()).hexdigest(), 1)
