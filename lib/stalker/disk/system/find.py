"""Where the system of a disk image is: the partition of its root, and those that it mounts below /boot."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.disk.inspect import read_disk
from stalker.disk.roles import EXT, roles_of
from stalker.errors import PlanError, StalkerError
from stalker.formats.fs.ext4 import read_super
from stalker.formats.fs.ext4_reader import Ext4Reader, refuse_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stalker.disk.inspect import DiskFacts, PartitionFacts
    from stalker.formats.partition_table.table import Read

FSTAB_BYTES_MAX = 1 << 20
PARTS_OF_SYSTEM = ("usr", "var", "etc", "opt", "lib", "bin", "sbin", "root")
"""Directories without which a root is not a system that packages can be installed into."""
_NUMBER = re.compile(r"/dev/(?:mmcblk\d+p|nvme\d+n\d+p|(?:[shv]|xv)d[a-z]+)(\d+)\Z")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A partition and where it is mounted: `boot/firmware`, empty for the root."""

    path: bytes
    partition: PartitionFacts


@dataclass(frozen=True, slots=True)
class System:
    """The system of a raw image. `mounts` are the partitions that are mounted below its root, outer ones first."""

    image: Path
    called: str
    facts: DiskFacts
    root: PartitionFacts
    mounts: tuple[Mounted, ...]

    @property
    def parts(self) -> tuple[Mounted, ...]:
        """The root, then what is mounted in it."""
        return (Mounted(b"", self.root), *self.mounts)


def find_system(image: Path, called: str = "", root_number: int = 0) -> System:
    """Return the system of a raw image; `called` is its name in messages.

    Root is what `roles_of` takes for it, or partition `root_number`. Where no fstab mounts the boot partition, it
    is at `/boot/firmware`, `/boot/efi` or `/boot`, whichever directory the root has for it.

    Raises:
        StalkerError: it is not a disk image, has no root that can be read here, or parts of its system are on
            other partitions.
    """
    called = called or str(image)
    facts = read_disk(image, called)
    try:
        roles = roles_of(facts.partitions, root_number=root_number)
    except PlanError as error:
        raise StalkerError(f"{called}: {error.brief}", error.details, error.resolution) from error
    root = roles.root
    if root is None or root.filesystem.kind not in EXT:
        why = roles.why_no_root or (
            f"partition {root.entry.number} holds {root.filesystem.kind or 'an unknown file system'}"
            if root
            else "no partition holds a system"
        )
        raise StalkerError(
            f"{called}: its root file system cannot be read here",
            f"{why}; ext2, ext3 and ext4 are read",
            "name the partition: root: 2, or choose another image",
        )
    with opened(image) as read:
        reader = ext4_reader(read, root, called)
        text = _fstab(reader)
        by_fstab = list(_mounts_of(text, facts.partitions, root))
        for path, partition in by_fstab:
            top = path.split("/")[0]
            if top in PARTS_OF_SYSTEM:
                raise StalkerError(
                    f"{called}: /{path} is on a partition of its own",
                    f"its fstab mounts partition {partition.entry.number} there; the root and /boot are read",
                    "choose an image with its system on one partition",
                )
        found = [Mounted(path.encode(), one) for path, one in by_fstab if path.split("/")[0] == "boot"]
        known = {one.partition.entry.number for one in found}
        if roles.boot is not None and roles.boot.entry.number not in known and not found:
            at = _usual_place(reader)
            found = [Mounted(at, roles.boot)] if at else []
    readable = [one for one in found if one.partition.filesystem.kind.startswith(("fat", "ext"))]
    return System(image, called, facts, root, tuple(sorted(readable, key=lambda one: one.path)))


@contextlib.contextmanager
def opened(image: Path) -> Iterator[Read]:
    """Give what reads bytes of a file."""
    with image.open("rb", buffering=0) as stream:
        yield lambda at, count: os.pread(stream.fileno(), count, at)


def ext4_reader(read: Read, partition: PartitionFacts, called: str) -> Ext4Reader:
    """Return what reads the ext of a partition. Raises StalkerError with the partition's number."""
    try:
        shape = read_super(read, partition.start_bytes)
        refuse_unreadable(shape, partition.size_bytes)
    except StalkerError as error:
        where = f"{called}, partition {partition.entry.number}: {error.brief}"
        raise type(error)(where, error.details, error.resolution) from error
    return Ext4Reader(read, partition.start_bytes, shape)


def _fstab(reader: Ext4Reader) -> str:
    node = reader.find(b"etc/fstab")
    if node is None or not node.is_file or node.size_bytes > FSTAB_BYTES_MAX:
        return ""
    return b"".join(reader.content(node)).decode("utf-8", "replace")


def _mounts_of(
    text: str, partitions: Sequence[PartitionFacts], root: PartitionFacts
) -> Iterator[tuple[str, PartitionFacts]]:
    """Yield where an fstab mounts partitions of this image, as relative paths; not the root."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#") or not fields[1].startswith("/"):
            continue
        path = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[1]).strip("/")
        one = _named(fields[0], partitions)
        if path and one is not None and one is not root:
            yield path, one


def _named(spec: str, partitions: Sequence[PartitionFacts]) -> PartitionFacts | None:
    """Return the partition that the first field of an fstab names, None for one that is not of this image."""
    kind, equals, value = spec.partition("=")
    if not equals:
        link = re.fullmatch(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/(.+)", spec)
        if link is None:
            number = _NUMBER.match(spec)
            found = (one for one in partitions if number and one.entry.number == int(number[1]))
            return next(found, None)
        kind, value = link[1], link[2]
    value = value.strip('"')
    for one in partitions:
        own = {
            "UUID": one.filesystem.uuid,
            "LABEL": one.filesystem.label,
            "PARTUUID": one.entry.uuid,
            "PARTLABEL": one.entry.name,
        }.get(kind.upper(), "")
        same = own == value if "LABEL" in kind.upper() else own.lower() == value.lower()
        if own and same:
            return one
    return None


def _usual_place(reader: Ext4Reader) -> bytes:
    for path in (b"boot/firmware", b"boot/efi", b"boot"):
        node = reader.find(path)
        if node is not None and node.is_folder:
            return path
    return b""
