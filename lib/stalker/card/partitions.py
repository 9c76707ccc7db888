"""The frame of an image that is created from a base: its size, its table, and a data partition that fills it.

The image is a copy of the base in a directory of its own. Only what must change is written: the bytes of other
partitions, and of what lies between them, stay as they were. The base is inspected once, by `inspect_base`;
what changes of the image is known from then on, and is not read again.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stalker.card.sizing import ALIGN_BYTES, LEAST_DATA_BYTES, Base
from stalker.disk.edit.grow_ext4 import grow_ext4, times
from stalker.disk.ids import NAMESPACE, PartitionIds
from stalker.disk.inspect import DiskFacts, PartitionFacts, read_disk
from stalker.disk.layout import BLOCK, Placed, ext4_inodes
from stalker.disk.mkfs import ext4_argv
from stalker.disk.roles import Roles, by_name, roles_of
from stalker.errors import PlanError, StalkerError
from stalker.formats.fs.ext4 import find_super
from stalker.formats.fs.probe import inspect
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.partition_types import EXTENDED, GPT_TYPES, MBR_TYPES
from stalker.formats.partition_table.resize import (
    MBR_SLOTS,
    free_slot,
    is_hybrid,
    patches,
    sound_table,
    tail_bytes,
)
from stalker.formats.partition_table.table import Entry, Table
from stalker.io.disk_sizes import aligned
from stalker.io.sparse import nothing, stored_ranges, zero_range
from stalker.io.units import size_text
from stalker.model.artifacts import Partition
from stalker.model.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stalker.toolbox.container import Tool

DATA_LABEL = "data"
LARGE_SECTOR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A data partition that is required.

    `seed` is the text that its ids are made of: the same text gives the same bytes. `files` is how many files and
    directories it will contain; `epoch_s` is the time of all that is made now.
    """

    seed: str
    label: str = DATA_LABEL
    files: int = 0
    epoch_s: int = 1


@dataclass(frozen=True, slots=True)
class BaseDisk:
    """A raw base as it was inspected: its sound table, its partitions and their roles; `base` for its layout.

    `stamp` changes when the file does.
    """

    path: Path
    stamp: tuple[int, ...]
    facts: DiskFacts
    table: Table
    roles: Roles
    base: Base

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self.facts.size_bytes

    @property
    def end_bytes(self) -> int:
        """Where its last partition ends."""
        return _end_bytes(self.facts)

    @property
    def partitions(self) -> dict[str, PartitionFacts]:
        """Its partitions by their role, number and label."""
        return by_name(self.facts.partitions, self.roles)


@dataclass(frozen=True, slots=True)
class Frame:
    """The partitions of an image after its frame was made. `changes` is what was done to it, in words."""

    partitions: tuple[PartitionFacts, ...]
    roles: Roles
    is_data_new: bool = False
    changes: tuple[str, ...] = ()


def inspect_base(
    image: Path,
    data_label: str = DATA_LABEL,
    known: BaseDisk | None = None,
    *,
    root_number: int = 0,
    called: str = "",
) -> BaseDisk:
    """Inspect a raw base; what is `known` of the same unchanged file is returned as it is.

    `called` is its name in messages, where it is a decompressed copy.

    Raises:
        StalkerError: no image can grow from it; the text gives the reason.
    """
    stamp = _stamp(image)
    if known is not None and (known.path, known.stamp) == (image, stamp):
        return known
    facts = read_disk(image, called)
    with image.open("rb", buffering=0) as stream:

        def read(at: int, count: int) -> bytes:
            return os.pread(stream.fileno(), count, at)

        table = sound_table(read, facts.size_bytes, image.name)
        _refuse_large_sectors(image, facts, read)
        roles = roles_of(facts.partitions, data_label, root_number)
        data, tail = roles.data, tail_bytes(table, read)
        if data is None:
            base = Base(facts.size_bytes, _end_bytes(facts), tail_bytes=tail)
        else:
            shape = find_super(read, data.start_bytes)
            base = Base(facts.size_bytes, data.start_bytes, data.size_bytes, shape, tail)
    return BaseDisk(image, stamp, facts, table, roles, base)


def frame(
    image: Path,
    disk: BaseDisk,
    tool: Tool,
    out: str,
    *,
    size_bytes: int,
    data: DataRequest | None,
    check: Callable[[], None] = nothing,
) -> Frame:
    """Give an image its size, and let its data partition fill it; add one where one is required and none exists.

    `image` is a raw copy of the base that was inspected as `disk`, in the directory that the tools see as `out`.
    Without a request and without a data partition it only becomes larger.

    Raises:
        StalkerError: the table is damaged or has no space for another partition, a file system is damaged, or a
            tool failed; the image is of no use then.
        PlanError: it would become smaller, or has no space for a data partition.
    """
    if size_bytes < disk.size_bytes:
        raise PlanError(
            f"an image of {size_text(size_bytes)} is smaller than its base",
            f"the base has {size_text(disk.size_bytes)}",
            "output.size: auto",
        )
    with _opened(image, disk) as copy:
        before = disk.roles.data
        if before is not None:
            is_grown = data is not None or size_bytes > disk.size_bytes
            changed = _grown(copy, before, size_bytes) if is_grown else None
        else:
            changed = _added(copy, data, size_bytes) if data is not None else None
        try:
            _write_table(copy, size_bytes, changed, is_new=before is None)
            if changed is None:
                changes = []
            elif before is None:
                assert data is not None
                changes = [_make(copy, changed, data, tool, out)]
            else:
                changes = _grow(copy, before, changed, data.epoch_s if data else 1, tool, out, check)
        except OSError as error:
            raise StalkerError(
                f"{image} could not be written", error.strerror or str(error), "free space there"
            ) from error
        return _framed(copy, changed, changes)


@dataclass(frozen=True, slots=True)
class _Copy:
    """The raw copy of a base, open for changes, and the base as it was inspected."""

    image: Path
    descriptor: int
    base: BaseDisk

    def read(self, at: int, count: int) -> bytes:
        """Return bytes of it."""
        return os.pread(self.descriptor, count, at)


@contextlib.contextmanager
def _opened(image: Path, disk: BaseDisk) -> Iterator[_Copy]:
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield _Copy(image, descriptor, disk)
    finally:
        os.close(descriptor)


def _refuse_large_sectors(image: Path, facts: DiskFacts, read: Callable[[int, int], bytes]) -> None:
    """Raise StalkerError for a disk without partitions, or one that counts in sectors of 4096 bytes."""
    if not facts.partitions:
        raise StalkerError(f"{image.name} has no partitions", "", "take an image of a whole disk")
    if any(one.filesystem.kind for one in facts.partitions):
        return
    for one in facts.partitions:
        start = one.entry.start_sector * LARGE_SECTOR_BYTES
        if inspect(read, start, one.entry.sectors * LARGE_SECTOR_BYTES).kind:
            raise StalkerError(
                f"{image.name} is made for disks with sectors of 4096 bytes",
                f"partition {one.entry.number} has a file system only if its table counts in those",
                "take the image for cards or USB sticks",
            )


def _stamp(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


def _end_bytes(facts: DiskFacts) -> int:
    return max(one.start_bytes + one.size_bytes for one in facts.partitions)


def _grown(copy: _Copy, found: PartitionFacts, size_bytes: int) -> Entry | None:
    """Return the entry of a data partition that fills the image, None where it stays as it is."""
    end = size_bytes // SECTOR_BYTES * SECTOR_BYTES - tail_bytes(copy.base.table, copy.read)
    size = max((end - found.start_bytes) // BLOCK * BLOCK, found.size_bytes)
    # What it may leave unused is the rest of a group.
    if size - found.filesystem.size_bytes < ALIGN_BYTES:
        return None
    was = found.entry
    extended = [one for one in copy.base.table.entries if one.type in EXTENDED]
    if (was.number > MBR_SLOTS and extended) or any(one.start_sector > was.start_sector for one in extended):
        raise StalkerError(
            f"the data partition of {copy.image.name} cannot be made larger: there is an extended partition",
            f"it has number {was.number}",
            "take a base whose data partition is a primary one that lies last, or one with a GPT",
        )
    return replace(was, sectors=size // SECTOR_BYTES)


def _added(copy: _Copy, request: DataRequest, size_bytes: int) -> Entry:
    """Return the entry of a new data partition behind the others. Raises StalkerError, PlanError."""
    number = free_slot(copy.base.table, copy.read, copy.image.name)
    start = aligned(copy.base.end_bytes, ALIGN_BYTES)
    end = size_bytes // SECTOR_BYTES * SECTOR_BYTES - tail_bytes(copy.base.table, copy.read)
    size = (end - start) // BLOCK * BLOCK
    if size < LEAST_DATA_BYTES:
        raise PlanError(
            f"an image of {size_text(size_bytes)} has no room for a data partition",
            f"the base's partitions end at {size_text(copy.base.end_bytes)}",
            f"output.size: auto, or {size_text(size_bytes - end + start + LEAST_DATA_BYTES)} and more",
        )
    is_mbr = copy.base.table.kind == "mbr"
    kind = (MBR_TYPES if is_mbr else GPT_TYPES)["ext4"]
    own = str(uuid.uuid5(NAMESPACE, f"{request.seed}/data/entry"))
    partuuid = f"{copy.base.table.disk_id}-{number:02x}" if is_mbr else own
    name = "" if is_mbr else request.label
    return Entry(number, start // SECTOR_BYTES, size // SECTOR_BYTES, kind, partuuid, name)


def _write_table(copy: _Copy, size_bytes: int, changed: Entry | None, *, is_new: bool) -> None:
    """Give the image its size and its table. Raises StalkerError, OSError."""
    if changed is not None and copy.base.table.kind == "gpt" and is_hybrid(copy.read):
        raise StalkerError(
            f"{copy.image.name} has a hybrid partition table: an MBR next to its GPT",
            "the two would differ in the data partition",
            "take a base with one of them",
        )
    changes = patches(copy.read, copy.base.table, size_bytes, changed, is_new=is_new)
    if size_bytes > copy.base.size_bytes:
        os.ftruncate(copy.descriptor, size_bytes)
    if changed is not None:
        # Something of the base may be there: the second copy of its GPT.
        old = next(
            (one.entry.sectors for one in copy.base.facts.partitions if one.entry.number == changed.number), 0
        )
        start, end = (changed.start_sector + n for n in (old, changed.sectors))
        ranges = stored_ranges(copy.descriptor, start * SECTOR_BYTES, end * SECTOR_BYTES)
        for begin, stop in list(ranges):
            zero_range(copy.descriptor, begin, stop - begin)
    for one in changes:
        os.pwrite(copy.descriptor, one.data, one.start)


def _make(copy: _Copy, entry: Entry, request: DataRequest, tool: Tool, out: str) -> str:
    """Make the file system of a new data partition; say so."""
    start, size = entry.start_sector * SECTOR_BYTES, entry.sectors * SECTOR_BYTES
    partition = Partition(DATA_LABEL, Place(copy.image.name), "ext4", label=request.label)
    ids = PartitionIds(str(uuid.uuid5(NAMESPACE, f"{request.seed}/data")), entry.uuid)
    inodes = ext4_inodes(size, request.files)
    file = f"{out}/{copy.image.name}"
    argv = ext4_argv(Placed(partition, entry.number, start, size), ids, file, inodes, is_filled=False)
    # Its journal is written as zeros, for a card may hold anything.
    tool.run(argv, None, {**times(request.epoch_s, 0), "UNIX_IO_NOZEROOUT": "1"})
    return f"partition {entry.number} was added for data, {size_text(size)}"


def _grow(
    copy: _Copy,
    found: PartitionFacts,
    entry: Entry,
    epoch_s: int,
    tool: Tool,
    out: str,
    check: Callable[[], None],
) -> list[str]:
    """Let the file system of the data partition fill it; say what was done."""
    shape = find_super(copy.read, found.start_bytes)
    environment = times(epoch_s, shape.latest_s if shape else 0)
    size = entry.sectors * SECTOR_BYTES
    was_repaired = grow_ext4(
        copy.image, found.start_bytes, found.size_bytes, size, tool, out, environment, check
    )
    changes = [
        f"partition {entry.number}, for data, grew from {size_text(found.size_bytes)} to {size_text(size)}"
    ]
    grown = find_super(copy.read, found.start_bytes)
    usual = ext4_inodes(size)
    if grown is not None and grown.inodes < usual // 2:
        changes.append(
            f"warning: partition {entry.number} has space for {grown.inodes} files, one made at this size for {usual}: "
            "ext4 keeps the number of inodes of each group when it grows"
        )
    if was_repaired:
        changes.insert(0, f"partition {entry.number} of the base was not clean; it has been repaired")
    return changes


def _framed(copy: _Copy, changed: Entry | None, changes: Sequence[str]) -> Frame:
    """Return the partitions as they are now: those of the base, but for the one that was changed or added."""
    before, roles = copy.base.facts.partitions, copy.base.roles
    if changed is None:
        return Frame(before, roles)
    system = inspect(copy.read, changed.start_sector * SECTOR_BYTES, changed.sectors * SECTOR_BYTES)
    data = PartitionFacts(changed, system)
    others = tuple(one for one in before if one.entry.number != changed.number)
    partitions = tuple(sorted((*others, data), key=lambda one: one.entry.number))
    return Frame(partitions, replace(roles, data=data), roles.data is None, tuple(changes))
