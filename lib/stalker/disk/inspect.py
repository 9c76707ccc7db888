"""Inspect and check any disk image: read by us, checked by the tools of its kinds."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.disk.checksums import sha256_of
from stalker.disk.first_bytes import HEAD_BYTES, not_an_image
from stalker.disk.layout import RESERVED_INODES
from stalker.disk.manifest import NAME as MANIFEST
from stalker.disk.manifest import BadManifest, Manifest, beside, read_manifest
from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.formats.fs.probe import FileSystemFacts, inspect
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.partition_types import EXTENDED
from stalker.formats.partition_table.table import Entry, Table, read_table
from stalker.io.compression.reader import check_unpacker, packing_of, unpacked
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.io.compression.magic import Packing
    from stalker.toolbox.container import Tool

CHUNK_BYTES = 1 << 18

_TO_SPARSE = (
    'code=$({ { "$@" <&4; echo $? >&3; } | dd of=%s bs=1M iflag=fullblock conv=sparse status=none >&2; } '
    "3>&1 4<&0); exit $code"
)
"""Run a program and write its output with holes for zeros; end as the program did."""

UNPACKERS: dict[Packing, tuple[str, ...]] = {
    "zst": ("zstd", "-q", "-dc"),
    "xz": ("xz", "-dc"),
    "gz": ("pigz", "-dc"),
    "bz2": ("cat",),
    "zip": ("cat",),
}
"""The toolbox has all of them, which this host may not; but for bzip2 and the image in a zip, which Python reads."""


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """A partition as the table has it, and its file system as it tells itself."""

    entry: Entry
    filesystem: FileSystemFacts

    @property
    def start_bytes(self) -> int:
        """Where it begins."""
        return self.entry.start_sector * SECTOR_BYTES

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self.entry.sectors * SECTOR_BYTES


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A raw image: its size, the bytes of it that are stored, its table and partitions."""

    size_bytes: int
    stored_bytes: int
    table: Table
    partitions: tuple[PartitionFacts, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at; `problem` is empty where it is right."""

    what: str
    problem: str = ""


def is_packed(path: Path) -> bool:
    """Return whether an image has to be unpacked first."""
    try:
        return bool(packing_of(path))
    except OSError:
        return False  # who reads it tells why not


def read_disk(path: Path, called: str = "") -> DiskFacts:
    """Read a raw image; `called` is its name in messages, where it is a decompressed copy.

    Raises StalkerError when it cannot be read or has no partition table.
    """
    called = called or str(path)
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            size = os.lseek(stream.fileno(), 0, os.SEEK_END)

            def read(at: int, count: int) -> bytes:
                return os.pread(stream.fileno(), count, at)

            table = read_table(read, size)
            kind = "" if table.kind else not_an_image(read(0, HEAD_BYTES), size)
            partitions = tuple(
                PartitionFacts(
                    entry, inspect(read, entry.start_sector * SECTOR_BYTES, entry.sectors * SECTOR_BYTES)
                )
                for entry in table.entries
                if entry.type not in EXTENDED
            )
    except OSError as error:
        raise StalkerError(f"could not read {called}", error.strerror or str(error)) from error
    if not table.kind:
        raise StalkerError(
            f"{called} is not a disk image",
            f"it holds {kind}" if kind else "it has no partition table",
            "name an .img, or one packed as .img.zst, .img.xz, .img.gz or .zip",
        )
    return DiskFacts(size, found.st_blocks * 512, table, partitions)


def unpack_image(path: Path, tool: Tool, target: str, on_bytes: Callable[[int], None]) -> None:
    """Unpack an image as a sparse file `target` of the container. Raises StalkerError when it is damaged."""
    packing = packing_of(path)
    if packing == "zip":
        check_unpacker(path)
    argv = UNPACKERS[packing]

    def chunks() -> Iterator[bytes]:
        if packing in {"bz2", "zip"}:
            yield from unpacked(path, on_read=on_bytes)
            return
        with path.open("rb") as stream:
            while piece := stream.read(CHUNK_BYTES):
                on_bytes(len(piece))
                yield piece

    try:
        tool.run(["sh", "-c", _TO_SPARSE % target, "sh", *argv], chunks())
    except (EngineError, Interrupted):
        raise
    except StalkerError as error:
        raise StalkerError(
            f"{path} could not be unpacked", error.details, "make or fetch it again: it is damaged"
        ) from error


def check_checksum(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> list[Check]:
    """Compare a file with what its `.sha256` and a manifest next to it say; none where there are none."""
    said: dict[str, str] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        line = path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8").split("\n")[0]
        said[f"{path.name}.sha256"] = line.removeprefix("\\").partition(" ")[0].lower()
    manifest = manifest_beside(path)
    if manifest is not None:
        said[MANIFEST] = next(file.sha256 for file in manifest.files if file.name == path.name)
        if not said[MANIFEST]:
            del said[MANIFEST]
    if not said:
        return []
    digest = sha256_of(path, on_bytes)
    return [
        Check(
            f"checksum of {name}",
            "" if wanted == digest else f"it says {wanted[:16]}..., the file has {digest[:16]}...",
        )
        for name, wanted in said.items()
    ]


def manifest_beside(path: Path) -> Manifest | None:
    """Return the manifest of this image: its own, or that of its directory if it tells of it."""
    for name in (beside(path).name, MANIFEST):
        with contextlib.suppress(BadManifest, OSError):
            manifest = read_manifest(path.parent, name)
            if any(file.name == path.name for file in manifest.files):
                return manifest
    return None


def check_table(facts: DiskFacts) -> Check:
    """Return what is wrong with a table as we read it."""
    return Check("partition table", "; ".join(facts.table.problems))


def check_by_tools(facts: DiskFacts, tool: Tool, image: str) -> Iterator[Check]:
    """Let each tool check what it knows; `image` is the path of the raw image in the container."""
    yield _checked(tool, "partition table by sfdisk", ["sfdisk", "--verify", "-q", image])
    for one in facts.partitions:
        kind, start = one.filesystem.kind, one.start_bytes
        what = f"partition {one.entry.number}, {kind}"
        if kind.startswith("ext"):
            yield _checked(tool, f"{what} by e2fsck", ["e2fsck", "-fn", f"{image}?offset={start}"])
        elif kind.startswith("fat"):
            copy = (
                "dd if=$1 of=/tmp/fat bs=512 skip=$2 count=$3 conv=sparse status=none; fsck.vfat -n /tmp/fat"
            )
            sectors = [str(one.entry.start_sector), str(one.entry.sectors)]
            yield _checked(tool, f"{what} by fsck.vfat", ["sh", "-ec", copy, "sh", image, *sectors])
            tool.run(["rm", "-f", "/tmp/fat"])  # noqa: S108  in the container
        elif kind == "squashfs":
            read = "unsquashfs -o $2 -lls $1 >/dev/null"
            yield _checked(tool, f"{what} by unsquashfs", ["sh", "-ec", read, "sh", image, str(start)])


def check_manifest(facts: DiskFacts, manifest: Manifest) -> Iterator[Check]:
    """Compare an image with what was noted when it was made: the table, the file systems, what they hold."""
    noted = manifest.disk.get("partitions") or ()
    if manifest.disk.get("size_bytes") != facts.size_bytes:
        yield Check(
            "size",
            f"{size_text(facts.size_bytes)}, it was made with {size_text(int(manifest.disk.get('size_bytes') or 0))}",
        )
    found = {one.entry.number: one for one in facts.partitions}
    for was in noted:
        one = found.get(was["number"])
        if one is None:
            yield Check(f"partition {was['number']}", "it is gone")
            continue
        inodes = None
        if was["filesystem"] == "ext4" and one.filesystem.inodes is not None:
            inodes = one.filesystem.inodes - RESERVED_INODES
        pairs = {
            "start": (one.start_bytes, was["start_bytes"]),
            "size": (one.size_bytes, was["size_bytes"]),
            "PARTUUID": (one.entry.uuid, was["partuuid"]),
            "UUID": (one.filesystem.uuid, was["uuid"]),
            "label": (one.filesystem.label, was["label"]),
            **({"entries": (inodes, was["entries"])} if inodes is not None and was["entries"] else {}),
        }
        wrong = [f"{name} {now}, it was {then}" for name, (now, then) in pairs.items() if now != then]
        yield Check(f"partition {was['number']}, {was['name']}, as it was made", "; ".join(wrong))


def _checked(tool: Tool, what: str, argv: list[str]) -> Check:
    try:
        tool.run(argv)
    except (EngineError, Interrupted):
        raise
    except StalkerError as error:
        lines = [line for line in error.details.splitlines() if line.strip()]
        return Check(what, "; ".join(lines[:6]))
    return Check(what)
