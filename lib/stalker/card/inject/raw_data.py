"""Bytes at an offset of the image, outside of file systems: a boot loader that a board reads from there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from stalker.errors import Attempts, InputError, PlanError
from stalker.formats.partition_table.reserved import reserved_ranges
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stalker.disk.edit.open import Editors
    from stalker.disk.edit.view import Piece, View
    from stalker.formats.partition_table.reserved import Reserved
    from stalker.model.card import FetchedInjection, RawData

RAW_MAX_BYTES = 64 << 20
"""It is kept in memory, and written through a record of what was there."""


def put_raw(
    raws: Sequence[RawData], fetched: Mapping[FetchedInjection, Path], editors: Editors, view: View
) -> list[str]:
    """Have `editors` write all of these at their offsets; say so. `fetched` has the paths of those with a source.

    The partition table is never written over, and a partition only where it is named and nothing else of the
    configuration opened its file system: call this when all of them are open.

    Raises:
        StalkerError: where some of them cannot stand, all of these, before anything is written.
    """
    attempts = Attempts()
    said: list[str] = []
    placed: list[tuple[RawData, bytes]] = []
    reserved = reserved_ranges(lambda at, count: view.pread(count, at), view.size_bytes)
    for raw in raws:
        with attempts.one():
            data = raw.content if raw.content is not None else _read(raw, fetched[raw])
            _check(raw, len(data), reserved, editors, view.size_bytes)
            placed.append((raw, data))
    placed.sort(key=lambda one: one[0].offset)
    for (first, data), (second, _) in pairwise(placed):
        with attempts.one():
            if first.offset + len(data) > second.offset:
                raise _refused(second, f"the one at {first.offset} reaches to {first.offset + len(data)}")
    attempts.check("raw data")
    pieces: list[Piece] = []
    for raw, data in placed:
        pieces.append((raw.offset, data))
        where = f", in partition {raw.partition}" if raw.partition else ""
        said.append(f"raw data: {len(data)} bytes at {raw.offset}{where}")
    editors.overwrite(pieces)
    return said


def _read(raw: RawData, path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(RAW_MAX_BYTES + 1)
    if not data or len(data) > RAW_MAX_BYTES:
        why = f"is larger than {size_text(RAW_MAX_BYTES)}" if data else "is empty"
        raise InputError(f"{raw.place}: {path} {why}", "", "name the file of a boot loader")
    return data


def _check(
    raw: RawData, length: int, reserved: Sequence[Reserved], editors: Editors, size_bytes: int
) -> None:
    """Raise PlanError where this would stand upon something else, or outside of the image."""
    end = raw.offset + length
    if end > size_bytes:
        raise _refused(raw, f"it would reach to {end}, and the image has {size_bytes} bytes")
    number = 0
    if raw.partition:
        one = editors.facts(raw.partition)
        number = one.entry.number
        if raw.offset < one.start_bytes or end > one.start_bytes + one.size_bytes:
            what = f"partition {number} has the bytes from {one.start_bytes} to {one.start_bytes + one.size_bytes}"
            raise _refused(raw, what, "move it, or leave `partition` out")
        if editors.is_open(raw.partition):
            raise _refused(
                raw,
                f"the file system in partition {number} is used by other parts of the configuration",
                "leave one of them out",
            )
    for other in reserved:
        if number and (other.number == number or other.what.startswith("the extended")):
            continue
        if raw.offset < other.end and other.start < end:
            hint = f"; `partition: {other.number}` would write over it" if other.number else ""
            raise _refused(
                raw, f"{other.what} has the bytes from {other.start} to {other.end}", f"move it{hint}"
            )


def _refused(raw: RawData, why: str, hint: str = "move it") -> PlanError:
    return PlanError(f"{raw.place}: raw data cannot be put at {raw.offset}", why, hint)
