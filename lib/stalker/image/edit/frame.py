"""The frame of an image that is created from a base: its size, its table, and a data partition that fills it.

The image is the base's copy and nobody's yet. Nothing of it is written but what must change: the bytes of other
partitions, and of what lies between them, stay as they were.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config.disk_sizes import SECTOR_BYTES, aligned, shown
from stalker.errors import PlanError, StalkerError
from stalker.image.edit.copying import nothing
from stalker.image.edit.ext_shape import ext_shape
from stalker.image.edit.growing import grow_ext4, times
from stalker.image.edit.roles import Roles, roles_of
from stalker.image.edit.room import ALIGN_BYTES, LEAST_DATA_BYTES, Base
from stalker.image.edit.tables import MBR_SLOTS, free_slot, is_hybrid, patches, sound_table, tail_bytes
from stalker.image.filesystem import ext4_argv
from stalker.image.identity import NAMESPACE, PartitionIds
from stalker.image.layout import BLOCK, Placed, ext4_inodes
from stalker.image.readback import DiskFacts, PartitionFacts, read_disk
from stalker.image.sparse import stored_ranges, zero_range
from stalker.image.superblock import inspect
from stalker.image.table import EXTENDED, GPT_TYPES, MBR_TYPES, Entry, Table
from stalker.model.artifacts import Partition
from stalker.model.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.image.toolbox import Tool

DATA_LABEL = "data"
LARGE_SECTOR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class DataWish:
    """A data partition that is wanted.

    `seed` is the text that its ids are made of: the same text gives the same bytes. `files` are those that it
    is going to hold, folders too; `epoch_s` is the time of all that is made now.
    """

    seed: str
    label: str = DATA_LABEL
    files: int = 0
    epoch_s: int = 1


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with its frame. `said` is what was done to it, in words."""

    size_bytes: int
    table: Table
    boot: PartitionFacts | None
    root: PartitionFacts | None
    data: PartitionFacts | None
    is_data_new: bool = False
    said: tuple[str, ...] = ()


def base_of(image: Path, data_label: str = DATA_LABEL) -> Base:
    """Return what a raw base is, as `room_for` wants to know it.

    Raises:
        StalkerError: it cannot be built upon; the text says why.
    """
    with _opened(image, os.O_RDONLY, data_label) as disk:
        data, tail = disk.roles.data, tail_bytes(disk.table, disk.read)
        if data is None:
            return Base(disk.size_bytes, disk.end_bytes, tail_bytes=tail)
        shape = ext_shape(disk.read, data.start_bytes)
        return Base(disk.size_bytes, data.start_bytes, data.size_bytes, shape, tail)


def frame(
    image: Path,
    tool: Tool,
    out: str,
    *,
    size_bytes: int,
    data: DataWish | None,
    check: Callable[[], None] = nothing,
) -> Frame:
    """Give an image its size, and let its data partition fill it; make one where one is wanted and none is there.

    `image` is a raw copy of a base, in the folder that the tools see as `out`. Without a wish and without a
    data partition it becomes larger and nothing else.

    Raises:
        StalkerError: the table is damaged or has no room for another partition, a file system is damaged, or a
            tool failed; the image is of no use then.
        PlanError: it would become smaller, or has no room for a data partition.
    """
    with _opened(image, os.O_RDWR, data.label if data else DATA_LABEL) as disk:
        if size_bytes < disk.size_bytes:
            raise PlanError(
                f"an image of {shown(size_bytes)} is smaller than its base",
                f"the base has {shown(disk.size_bytes)}",
                "output.size: auto",
            )
        found, wish = disk.roles.data, data
        if found is not None:
            is_wanted = wish is not None or size_bytes > disk.size_bytes
            changed = _grown(disk, found, size_bytes) if is_wanted else None
        else:
            changed = _added(disk, wish, size_bytes) if wish is not None else None
        try:
            _write_table(disk, size_bytes, changed, is_new=found is None)
            if changed is None:
                said = []
            elif found is None:
                assert wish is not None
                said = [_make(disk, changed, wish, tool, out)]
            else:
                said = _grow(disk, found, changed, wish.epoch_s if wish else 1, tool, out, check)
        except OSError as error:
            raise StalkerError(
                f"{image} could not be written", error.strerror or str(error), "make room there"
            ) from error
        number = changed.number if changed is not None else found.entry.number if found is not None else 0
    return _framed(image, number, is_new=found is None and changed is not None, said=tuple(said))


@dataclass(frozen=True, slots=True)
class _Disk:
    """A raw image that is open."""

    image: Path
    descriptor: int
    table: Table
    facts: DiskFacts
    roles: Roles

    @property
    def size_bytes(self) -> int:
        """How large it was when it was opened."""
        return self.facts.size_bytes

    @property
    def end_bytes(self) -> int:
        """Where its last partition ends."""
        return max(one.start_bytes + one.size_bytes for one in self.facts.partitions)

    def read(self, at: int, count: int) -> bytes:
        """Return bytes of it."""
        return os.pread(self.descriptor, count, at)


@contextlib.contextmanager
def _opened(image: Path, flags: int, data_label: str) -> Iterator[_Disk]:
    """Give a raw image whose table is sound. Raises StalkerError."""
    facts = read_disk(image)
    descriptor = os.open(image, flags | os.O_CLOEXEC)
    try:

        def read(at: int, count: int) -> bytes:
            return os.pread(descriptor, count, at)

        table = sound_table(read, facts.size_bytes, image.name)
        if not facts.partitions:
            raise StalkerError(f"{image.name} has no partitions", "", "take an image of a whole disk")
        for one in facts.partitions:
            start = one.entry.start_sector * LARGE_SECTOR_BYTES
            if any(other.filesystem.kind for other in facts.partitions):
                break
            if inspect(read, start, one.entry.sectors * LARGE_SECTOR_BYTES).kind:
                raise StalkerError(
                    f"{image.name} is made for disks with sectors of 4096 bytes",
                    f"partition {one.entry.number} holds a file system only if its table counts in those",
                    "take the image for cards or USB sticks",
                )
        yield _Disk(image, descriptor, table, facts, roles_of(facts.partitions, data_label))
    finally:
        os.close(descriptor)


def _grown(disk: _Disk, found: PartitionFacts, size_bytes: int) -> Entry | None:
    """Return the entry of a data partition that fills the image, None where it stays as it is."""
    end = size_bytes // SECTOR_BYTES * SECTOR_BYTES - tail_bytes(disk.table, disk.read)
    size = max((end - found.start_bytes) // BLOCK * BLOCK, found.size_bytes)
    # What it may leave unused is the rest of a group.
    if size - found.filesystem.size_bytes < ALIGN_BYTES:
        return None
    was = found.entry
    extended = [one for one in disk.table.entries if one.type in EXTENDED]
    if (was.number > MBR_SLOTS and extended) or any(one.start_sector > was.start_sector for one in extended):
        raise StalkerError(
            f"the data partition of {disk.image.name} cannot be made larger: there is an extended partition",
            f"it has number {was.number}",
            "take a base whose data partition is a primary one that lies last, or one with a GPT",
        )
    return Entry(was.number, was.start_sector, size // SECTOR_BYTES, was.type, was.uuid, was.name)


def _added(disk: _Disk, wish: DataWish, size_bytes: int) -> Entry:
    """Return the entry of a new data partition behind the others. Raises StalkerError, PlanError."""
    number = free_slot(disk.table, disk.read, disk.image.name)
    start = aligned(disk.end_bytes, ALIGN_BYTES)
    end = size_bytes // SECTOR_BYTES * SECTOR_BYTES - tail_bytes(disk.table, disk.read)
    size = (end - start) // BLOCK * BLOCK
    if size < LEAST_DATA_BYTES:
        raise PlanError(
            f"an image of {shown(size_bytes)} has no room for a data partition",
            f"the base's partitions end at {shown(disk.end_bytes)}",
            f"output.size: auto, or {shown(size_bytes - end + start + LEAST_DATA_BYTES)} and more",
        )
    is_mbr = disk.table.kind == "mbr"
    kind = (MBR_TYPES if is_mbr else GPT_TYPES)["ext4"]
    own = str(uuid.uuid5(NAMESPACE, f"{wish.seed}/data/entry"))
    partuuid = f"{disk.table.disk_id}-{number:02x}" if is_mbr else own
    return Entry(number, start // SECTOR_BYTES, size // SECTOR_BYTES, kind, partuuid, wish.label)


def _write_table(disk: _Disk, size_bytes: int, changed: Entry | None, *, is_new: bool) -> None:
    """Give the image its size and its table. Raises StalkerError, OSError."""
    if changed is not None and disk.table.kind == "gpt" and is_hybrid(disk.read):
        raise StalkerError(
            f"{disk.image.name} has a hybrid partition table: an MBR beside its GPT",
            "the two would tell different things of the data partition",
            "take a base with one of them",
        )
    changes = patches(disk.read, disk.table, size_bytes, changed, is_new=is_new)
    if size_bytes > disk.size_bytes:
        os.ftruncate(disk.descriptor, size_bytes)
    if changed is not None:
        # Of the base something may stand there: the second copy of its GPT.
        old = next(
            (one.entry.sectors for one in disk.facts.partitions if one.entry.number == changed.number), 0
        )
        start, end = (changed.start_sector + n for n in (old, changed.sectors))
        ranges = stored_ranges(disk.descriptor, start * SECTOR_BYTES, end * SECTOR_BYTES)
        for begin, stop in list(ranges):
            zero_range(disk.descriptor, begin, stop - begin)
    for one in changes:
        os.pwrite(disk.descriptor, one.data, one.start)


def _make(disk: _Disk, entry: Entry, wish: DataWish, tool: Tool, out: str) -> str:
    """Make the file system of a new data partition; say so."""
    start, size = entry.start_sector * SECTOR_BYTES, entry.sectors * SECTOR_BYTES
    partition = Partition(DATA_LABEL, Place(disk.image.name), "ext4", label=wish.label)
    ids = PartitionIds(str(uuid.uuid5(NAMESPACE, f"{wish.seed}/data")), entry.uuid)
    inodes = ext4_inodes(size, wish.files)
    file = f"{out}/{disk.image.name}"
    argv = ext4_argv(Placed(partition, entry.number, start, size), ids, file, inodes, is_filled=False)
    # Its journal is written as zeros, for a card may hold anything.
    tool.run(argv, None, {**times(wish.epoch_s, 0), "UNIX_IO_NOZEROOUT": "1"})
    return f"partition {entry.number} was added for data, {shown(size)}"


def _grow(
    disk: _Disk,
    found: PartitionFacts,
    entry: Entry,
    epoch_s: int,
    tool: Tool,
    out: str,
    check: Callable[[], None],
) -> list[str]:
    """Let the file system of the data partition fill it; say what was done."""
    shape = ext_shape(disk.read, found.start_bytes)
    environment = times(epoch_s, shape.latest_s if shape else 0)
    size = entry.sectors * SECTOR_BYTES
    was_mended = grow_ext4(
        disk.image, found.start_bytes, found.size_bytes, size, tool, out, environment, check
    )
    said = [f"partition {entry.number}, for data, grew from {shown(found.size_bytes)} to {shown(size)}"]
    if was_mended:
        said.insert(0, f"partition {entry.number} of the base was not clean; it has been mended")
    return said


def _framed(image: Path, number: int, *, is_new: bool, said: tuple[str, ...]) -> Frame:
    """Read the image again. Raises StalkerError when it is not right: that is a defect of ours."""
    facts = read_disk(image)
    if facts.table.problems:
        raise StalkerError(f"{image} has no sound partition table now", "; ".join(facts.table.problems))
    data = next((one for one in facts.partitions if one.entry.number == number), None)
    others = [one for one in facts.partitions if one is not data]
    roles = roles_of(others)
    return Frame(facts.size_bytes, facts.table, roles.boot, roles.root, data, is_new, said)
