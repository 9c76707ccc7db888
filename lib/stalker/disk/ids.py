"""The ids of a disk: made of the names of tree, stalk, artifact and partition, where the tree gives none.

So the same disk has the same ids whenever and wherever it is made, and its files may name them.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.partition_types import GPT_TYPES, MBR_TYPES
from stalker.formats.partition_table.table import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.disk.layout import Placed
    from stalker.model.artifacts import Disk, Partition

NAMESPACE = uuid.UUID("6f8a51c2-7d0b-5b5e-9c27-3f1e0b6f2a84")
"""Of our own: no other uuid5 is made in it."""

NO_UUID = {"", "squashfs"}


@dataclass(frozen=True, slots=True)
class PartitionIds:
    """The UUID of a file system (a serial number for vfat, empty where there is none), and the PARTUUID."""

    uuid: str
    partuuid: str


@dataclass(frozen=True, slots=True)
class DiskIds:
    """The id of a disk, and those of its partitions by name."""

    disk: str
    partitions: Mapping[str, PartitionIds]


def ids_of(disk: Disk, name: str) -> DiskIds:
    """Return the ids of a disk; `name` is `tree/stalk/artifact`."""
    made = uuid.uuid5(NAMESPACE, name)
    disk_id = disk.disk_id or (_digits(made) if disk.table == "mbr" else str(made))
    partitions = {}
    for number, partition in enumerate(disk.partitions, 1):
        own = uuid.uuid5(NAMESPACE, f"{name}/{partition.name}")
        entry = uuid.uuid5(NAMESPACE, f"{name}/{partition.name}/entry")
        partitions[partition.name] = PartitionIds(
            uuid=partition.uuid or _uuid_of(partition, own),
            partuuid=f"{disk_id}-{number:02x}" if disk.table == "mbr" else str(entry),
        )
    return DiskIds(disk_id, partitions)


def _uuid_of(partition: Partition, made: uuid.UUID) -> str:
    if partition.filesystem == "vfat":
        digits = _digits(made).upper()
        return f"{digits[:4]}-{digits[4:]}"
    return "" if partition.filesystem in NO_UUID else str(made)


def _digits(made: uuid.UUID) -> str:
    """Return eight hexadecimal digits that are not all zero."""
    return made.hex[:8] if int(made.hex[:8], 16) else "00000001"


def marks_of(disk: Disk, ids: DiskIds) -> dict[str, str]:
    """Return what stands for `@PARTUUID:root@` and its like."""
    marks: dict[str, str] = {}
    for partition in disk.partitions:
        own = ids.partitions[partition.name]
        found = {"PARTUUID": own.partuuid, "UUID": own.uuid, "LABEL": partition.label}
        marks |= {f"@{kind}:{partition.name}@": value for kind, value in found.items() if value}
    return marks


def entry_of(placed: Placed, ids: DiskIds, kind: str) -> Entry:
    """Return what the table says of a partition; `kind` is that of the table."""
    partition = placed.partition
    usual = MBR_TYPES if kind == "mbr" else GPT_TYPES
    return Entry(
        placed.number,
        placed.start_bytes // SECTOR_BYTES,
        placed.size_bytes // SECTOR_BYTES,
        partition.type or usual[partition.filesystem],
        ids.partitions[partition.name].partuuid,
        partition.name,
        is_bootable=partition.is_bootable,
    )
