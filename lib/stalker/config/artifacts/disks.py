"""A disk of a node's artifacts: its table, its partitions and what they hold; all that is wrong before any build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.artifacts.partitions import PartitionReader, Table, uuid_of
from stalker.config.syntax.document import items_of, text_of
from stalker.config.syntax.report import did_you_mean
from stalker.formats.partition_table.extent import MBR_MAX_BYTES, least_bytes
from stalker.io.disk_sizes import disk_bytes
from stalker.io.units import size_text
from stalker.model.artifacts import Artifact, Disk, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.config.artifacts.values import ArtifactReader
    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.model.artifacts import Write

ALIGN_BYTES = 4 << 20
ALIGN_MIN_BYTES, ALIGN_MAX_BYTES = 4 << 10, 1 << 30
MBR_PARTITIONS = 4
GPT_PARTITIONS = 128

OF_BASE = ("table", "partitions", "align", "disk_id", "fill")
"""What a disk like its base takes from that."""

_MARKS = ("PARTUUID", "UUID", "LABEL")
_MARK = re.compile(r"@([A-Z]+):([^@\s]+)@")


def read_disk(node: Node, file: str, writes: Sequence[Write], reader: ArtifactReader) -> Disk | None:
    """Read an artifact with `disk`; None where its partitions are invalid, which is reported."""
    if node.get("like") is not None:
        return _like_base(node, file, reader)
    table: Table = "gpt" if text_of(node.get("table")) == "gpt" else "mbr"
    align_bytes = _align(node.get("align"), reader)
    given = node.get("partitions")
    if given is None or given.value == {}:
        place = node.key_place if given is None else given.place
        reader.report.problem(place, "a disk needs 'partitions'", "root: { filesystem: ext4, from: / }")
    partitions = _partitions(given, table, reader)
    size = node.get("size")
    size_bytes = reader.size(size, lambda text: disk_bytes(text, align_bytes))
    _tell_size(size, size_bytes, table, partitions, align_bytes, reader.report)
    disk_id = node.get("disk_id")
    identity = ""
    if disk_id is not None and isinstance(disk_id.value, str):
        identity = reader.told(disk_id, lambda text: _disk_id(text, table)) or ""
    disk = Disk(
        file=file,
        table=table,
        partitions=tuple(partitions),
        size_bytes=size_bytes,
        size_words=size.text if size is not None else "auto",
        align_bytes=align_bytes,
        disk_id=identity,
        fill=reader.paths(node.get("fill")),
        formats=_formats(node.get("formats"), reader),
    )
    _tell_excluded(disk, reader.excluded(node.get("exclude")), reader.report)
    _tell_excluded_fill(disk, node, writes, reader)
    _tell_marks(disk, node, writes, reader)
    return disk if file and partitions else None


def _like_base(node: Node, file: str, reader: ArtifactReader) -> Disk | None:
    """Read a disk that is like the base of its stalk, which decides all but the content of its system."""
    like = node.get("like")
    assert like is not None
    if reader.disk_base is None:
        what = "'like: base' needs a stalk that grows from a disk image"
        reader.report.problem(like.place, what, "base: { disk: { image: FILE } } in the outermost stalk")
    for key in OF_BASE:
        child = node.get(key)
        if child is not None:
            what = f"'{key}' is that of the base, with like: base"
            reader.report.problem(child.key_place, what, "leave it out, or leave 'like' out")
    size = node.get("size")
    size_bytes = reader.size(size, lambda text: disk_bytes(text, ALIGN_BYTES))
    formats = _formats(node.get("formats"), reader)
    words = size.text if size is not None else "auto"
    disk = Disk(file, "mbr", (), size_bytes, words, formats=formats, like="base")
    return disk if file and reader.disk_base is not None else None


def _align(node: Node | None, reader: ArtifactReader) -> int:
    size = reader.size(node)
    if node is None or size is None:
        return ALIGN_BYTES
    if size & (size - 1) or not ALIGN_MIN_BYTES <= size <= ALIGN_MAX_BYTES:
        what = f"partitions cannot be aligned to {node.text}"
        reader.report.problem(
            node.place, what, "a power of two from 4KiB to 1GiB; 4MiB suits cards, 1MiB most disks"
        )
        return ALIGN_BYTES
    return size


def _disk_id(text: str, table: str) -> str:
    """Return a disk's id as the table has it. Raises ValueError, which says why it is none."""
    if table == "gpt":
        return uuid_of(text)
    if not re.fullmatch(r"(?:0x)?[0-9a-fA-F]{8}", text) or int(text, 16) == 0:
        raise ValueError(f"'{text}' is not an MBR disk id: eight digits of 0-9a-f, not all zero")
    return text.removeprefix("0x").lower()


def _formats(node: Node | None, reader: ArtifactReader) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(child.text for child in items_of(node))) or ("img",)
    if node is not None and node.value == []:
        reader.report.problem(node.place, "nothing is published of this disk", "leave 'formats' out for img")
    if formats == ("bmap",):
        assert node is not None
        what = "a bmap alone is of no use: it says which blocks of the image hold data"
        reader.report.problem(node.place, what, "add img, or img.zst")
    return formats


def _tell_size(
    node: Node | None,
    size_bytes: int | None,
    table: Table,
    partitions: Sequence[Partition],
    align_bytes: int,
    report: Report,
) -> None:
    """Tell a disk that is too small for its partitions, or too large for its table."""
    least = least_bytes(table, (one.size_bytes for one in partitions), align_bytes)
    if size_bytes is not None and node is not None and least > size_bytes:
        known = [
            f"{one.name} {size_text(one.size_bytes)}" for one in partitions if one.size_bytes is not None
        ]
        rest = [one.name for one in partitions if one.size_bytes is None]
        parts = ", ".join([*known, *(f"at least 1 MiB of {name}" for name in rest)])
        what = f"{node.text} is {size_text(size_bytes)}, and the partitions need {size_text(least)}"
        report.problem(
            node.place,
            what,
            f"{parts}, aligned to {size_text(align_bytes)}; size: auto is as small as possible",
        )
    too_large = max(size_bytes or 0, least) > MBR_MAX_BYTES
    if table == "mbr" and too_large:
        place = node.place if node is not None else partitions[-1].place
        report.problem(place, "an MBR cannot describe more than 2 TiB", "table: gpt")


# partitions


def _partitions(node: Node | None, table: Table, reader: ArtifactReader) -> list[Partition]:
    found: list[Partition] = []
    for name, child in node.items() if node is not None else ():
        if isinstance(child.value, dict):
            found.append(PartitionReader(name, child, table, reader).read())
    _tell_too_many(found, table, reader.report)
    _tell_twice(found, reader.report)
    return found


def _tell_too_many(partitions: Sequence[Partition], table: Table, report: Report) -> None:
    limit = MBR_PARTITIONS if table == "mbr" else GPT_PARTITIONS
    if len(partitions) > limit:
        what = (
            f"{len(partitions)} partitions; an {table.upper()} has at most {limit}"
            if table == "mbr"
            else (f"{len(partitions)} partitions; a GPT has at most {limit}")
        )
        report.problem(partitions[limit].place, what, "table: gpt" if table == "mbr" else "")
    bootable = [one for one in partitions if one.is_bootable]
    if table == "mbr" and len(bootable) > 1:
        report.problem(
            bootable[1].place, f"'{bootable[0].name}' is bootable, too", "an MBR boots from one of them"
        )


def _tell_twice(partitions: Sequence[Partition], report: Report) -> None:
    """Tell what only one partition of a disk can have."""
    seen: dict[tuple[str, str], Partition] = {}
    for one in partitions:
        for what, value in (("label", one.label), ("UUID", one.uuid), ("content", one.source)):
            first = seen.setdefault((what, value), one) if value else one
            if first is not one:
                same = f"holds {value}" if what == "content" else f"has the {what} '{value}'"
                report.problem(one.place, f"'{first.name}' {same}, too", "change one of them")


# marks, artifacts and what is left out


def _tell_excluded(disk: Disk, exclude: Sequence[str], report: Report) -> None:
    """Tell partitions whose whole content is excluded."""
    for one in disk.partitions:
        path = next((path for path in exclude if f"{one.source}/".startswith(path + "/")), "")
        if path and one.source:
            what = f"{one.source} is excluded, so nothing would be in '{one.name}'"
            report.problem(one.place, what, f"leave {path} out of 'exclude'")


def _tell_excluded_fill(disk: Disk, node: Node, writes: Sequence[Write], reader: ArtifactReader) -> None:
    """Tell files that are to be filled in and are excluded."""
    around = node.get("fill")
    if around is None:
        return
    exclude = reader.patterns(node.get("exclude"))
    written = {write.path for write in writes}
    for path in disk.fill:
        pattern = next((one for one in exclude if f"{path}/".startswith(one + "/")), "")
        if pattern and path not in written:
            what = f"{path} is excluded, so there is nothing to fill in"
            reader.report.problem(
                around.place, what, f"leave {pattern} out of 'exclude', or {path} out of 'fill'"
            )


def _tell_marks(disk: Disk, node: Node, writes: Sequence[Write], reader: ArtifactReader) -> None:
    """Tell marks in written files that stand for nothing."""
    partitions = {one.name: one for one in disk.partitions}
    around = node.get("write")
    for write in writes:
        child = next((c for k, c in around.items() if c.key_place == write.place), None) if around else None
        text = (child.get("text") or child) if child is not None else None
        place = text.place if text is not None else write.place
        for kind, name in dict.fromkeys(_MARK.findall(write.content.decode("utf-8", "replace"))):
            one = partitions.get(name)
            if kind not in _MARKS:
                hint = did_you_mean(kind, _MARKS, "kinds")
                reader.report.problem(place, f"@{kind}:{name}@: {kind} is not a kind of mark", hint)
            elif one is None:
                hint = did_you_mean(name, partitions, "partitions")
                reader.report.problem(place, f"@{kind}:{name}@: there is no partition '{name}'", hint)
            elif kind == "UUID" and one.filesystem in {"", "squashfs"}:
                hint = f"@PARTUUID:{name}@ is that of the partition"
                reader.report.problem(place, f"@UUID:{name}@: '{name}' has no file system with a UUID", hint)
            elif kind == "LABEL" and not one.label:
                reader.report.problem(place, f"@LABEL:{name}@: '{name}' has no label", "give it one")


def tell_artifacts_in_disks(artifacts: Sequence[Artifact], report: Report) -> None:
    """Tell partitions that hold an artifact which is not there, or which is a disk."""
    known = {one.name: one for one in artifacts}
    for artifact in artifacts:
        for one in artifact.kind.partitions if isinstance(artifact.kind, Disk) else ():
            if not one.artifact:
                continue
            other = known.get(one.artifact)
            if other is None:
                others = [name for name, other in known.items() if not isinstance(other.kind, Disk)]
                hint = did_you_mean(one.artifact, others, "artifacts of this stalk")
                report.problem(one.place, f"no artifact '{one.artifact}' in this stalk", hint)
            elif other is artifact:
                report.problem(one.place, "a circle: the disk would hold itself", "name a tar or a folder")
            elif isinstance(other.kind, Disk):
                report.problem(one.place, f"'{one.artifact}' is a disk; a partition holds a tar or a folder")
