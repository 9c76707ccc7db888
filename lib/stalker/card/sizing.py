"""How large an image that is created from a base has to be. Pure: sizes in, sizes out.

Before a download only the declared size of a base is known, and what its author says of it; then the base
itself. What does not fit is refused by the same function, as early as it is certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stalker.disk.edit.grow_ext4 import journal_growth
from stalker.disk.layout import (
    BLOCK,
    LOST_FOUND_BLOCKS,
    RESERVED_INODES,
    Measure,
    ext4_bytes,
    ext4_own_blocks,
)
from stalker.disk.mkfs import FOR_ROOT_PERCENT
from stalker.errors import PlanError
from stalker.formats.fs.ext4 import kernel_blocks
from stalker.formats.partition_table.extent import GPT_TAIL_BYTES, SECTOR_BYTES
from stalker.io.disk_sizes import MIB, aligned
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.formats.fs.ext4 import Super
    from stalker.model.card import Output

ALIGN_BYTES = 4 * MIB
"""The erase block of common cards: partitions begin there, and an image ends there."""

MARGIN_PERCENT = 10
"""How much of the content is free afterwards: what a machine writes at its first start."""

LEAST_DATA_BYTES = 8 * MIB
"""Below this an ext4 has no room for a journal."""

MOST_CONTENT_BYTES = 1 << 44
"""16 TiB: for more, what an ext4 takes for itself takes minutes to compute."""

EXTENT_BYTES = 64 * MIB
"""One block more is counted for each so much of a file: its extents may not fit in its inode."""

NAMES_IN_BLOCK = 15
"""Names of 255 bytes: as few as there can be."""


class Load(NamedTuple):
    """Something that goes onto the data partition."""

    files: int
    bytes: int
    folders: int = 0


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of a base; None for what is not.

    `system_bytes` is where the data partition begins or will begin: what is before it stays as it is.
    `shape` is the ext4 of the data partition that it has, of `data_bytes`. `tail_bytes` is what its table needs
    at the end.
    """

    size_bytes: int | None = None
    system_bytes: int | None = None
    data_bytes: int = 0
    shape: Super | None = None
    tail_bytes: int = GPT_TAIL_BYTES
    is_declared: bool = False
    """Return whether its server or its author declared this; else it was read from the base."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How large an image becomes: `need_bytes` is the least that it can have, `image_bytes` what it gets.

    `data_bytes` is the least that the data partition has, 0 where there is none. With `is_exact` these are the
    sizes of the image; else it has no less, and hardly more than `most_bytes`.
    """

    content_bytes: int
    data_bytes: int
    need_bytes: int
    image_bytes: int
    most_bytes: int
    is_exact: bool


def declared_base(size_bytes: int | None, rootfs_bytes: int | None) -> Base:
    """Return what is known of a base before it is downloaded: its size, and what its system takes."""
    return Base(size_bytes, rootfs_bytes, is_declared=True)


def measure_of(loads: Iterable[Load]) -> Measure:
    """Return the most that files and directories take in an ext4, of which only the sizes are known."""
    found = Measure()
    for one in loads:
        found.inodes += one.files + one.folders
        found.data_blocks += -(-one.bytes // BLOCK) + max(one.files - 1, 0) + one.bytes // EXTENT_BYTES
        found.folder_blocks += one.folders + -(-(one.files + one.folders) // NAMES_IN_BLOCK)
    return found


def content_bytes(measure: Measure) -> int:
    """Return how many bytes a content takes as blocks."""
    return (measure.data_blocks + measure.folder_blocks) * BLOCK


def new_data_bytes(measure: Measure, margin_percent: int = MARGIN_PERCENT) -> int:
    """Return how large a new data partition has to be, a multiple of the alignment.

    So much of the content stays free besides what ext4 keeps for root and the kernel.
    """
    content = measure.data_blocks + measure.folder_blocks
    needed = content + LOST_FOUND_BLOCKS + margin_of(measure, margin_percent)
    inodes = measure.inodes + RESERVED_INODES
    size = LEAST_DATA_BYTES
    while True:
        blocks = needed + -(-size // BLOCK * FOR_ROOT_PERCENT // 100) + kernel_blocks(size // BLOCK)
        need = aligned(ext4_bytes(blocks, inodes), ALIGN_BYTES)
        if need > size:
            size = need
        elif blocks + ext4_own_blocks(size // BLOCK, inodes) <= size // BLOCK:
            return size
        else:  # rounding up has brought it a larger journal
            size += ALIGN_BYTES


def grown_data_bytes(shape: Super, measure: Measure, margin_percent: int = MARGIN_PERCENT) -> int:
    """Return the size that an existing ext4 has to grow to: its own size where it has space enough."""
    blocks = measure.data_blocks + measure.folder_blocks + margin_of(measure, margin_percent)

    def holds(size: int) -> bool:
        free = shape.free_at(size)
        journal = journal_growth(shape, size) // BLOCK
        return free.blocks >= blocks + journal and free.inodes >= measure.inodes

    low, high = shape.size_bytes, max(aligned(shape.size_bytes, ALIGN_BYTES), ALIGN_BYTES)
    if holds(low):
        return low
    while not holds(high):
        low, high = high, high * 2
    while high - low > ALIGN_BYTES:
        middle = aligned((low + high) // 2, ALIGN_BYTES)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def margin_of(measure: Measure, margin_percent: int) -> int:
    """Return how many blocks must stay free afterwards."""
    return -(-(measure.data_blocks + measure.folder_blocks) * margin_percent // 100)


def plan_layout(
    base: Base,
    measure: Measure | None,
    output: Output,
    *,
    max_bytes: int | None = None,
    margin_percent: int = MARGIN_PERCENT,
) -> Layout:
    """Return how large the image becomes; `measure` is what goes onto the data partition, None for nothing.

    An image is never smaller than its base. One of size auto is as small as can be, a multiple of 4 MiB where
    it is larger than the base; so is one that shrinks, whatever its size was to be.

    Raises:
        PlanError: it does not fit the size that was requested, or it is larger than it may be.
    """
    data = 0
    if measure is not None and content_bytes(measure) > MOST_CONTENT_BYTES:
        raise PlanError(
            f"{_both(content_bytes(measure))} are to go onto the data partition, which no card holds",
            "a server may have declared a wrong size of a file",
            "look at the sizes of what is named in files and oci_images",
        )
    if measure is not None:
        data = (
            grown_data_bytes(base.shape, measure, margin_percent)
            if base.shape is not None
            else new_data_bytes(measure, margin_percent)
        )
        data = max(data, base.data_bytes)
    content = content_bytes(measure) if measure is not None else 0
    need = base.size_bytes or 0
    if base.is_declared and measure is not None:
        # What its file system keeps for itself is not known, nor whether there is one with room already.
        least = content + margin_of(measure, margin_percent) * BLOCK
        need = max(need, aligned((base.system_bytes or 0) + least, SECTOR_BYTES))
    elif data > base.data_bytes:
        begin = aligned(base.system_bytes or 0, SECTOR_BYTES if base.shape is not None else ALIGN_BYTES)
        need = max(need, aligned(begin + data + base.tail_bytes, ALIGN_BYTES))
    requested = output.size_bytes
    if requested is not None and requested < need:
        raise _too_small(base, output, need, content, data, max_bytes)
    image = (
        need if requested is None or output.shrinks else max(requested // SECTOR_BYTES * SECTOR_BYTES, need)
    )
    if max_bytes is not None and image > max_bytes:
        raise PlanError(
            f"the image would have {_both(image)}, and it may have {_both(max_bytes)}",
            _why(base, content, data),
            "put less onto it, or allow more: --max-size"
            if need > max_bytes
            else f"ask for less: output.size: auto takes {_both(need)}",
        )
    most = image
    if base.is_declared and (requested is None or output.shrinks):
        spare = data // 16 + 2 * ALIGN_BYTES + base.tail_bytes
        most = max(image, (base.size_bytes or base.system_bytes or 0) + data + spare)
    return Layout(content, data, need, image, most, not base.is_declared)


def _too_small(
    base: Base, output: Output, need: int, content: int, data: int, max_bytes: int | None
) -> PlanError:
    assert output.size_bytes is not None
    least = "" if not base.is_declared else "at least "
    would_do = f"output.size: auto, or {need} and more"
    if max_bytes is not None and need > max_bytes:
        would_do = "put less onto it"
    return PlanError(
        f"an image of {output.size_words} has {_both(output.size_bytes)}, and {least}{_both(need)} are needed",
        _why(base, content, data),
        would_do,
    )


def _why(base: Base, content: int, data: int) -> str:
    parts = []
    if base.size_bytes is not None:
        parts.append(f"the base has {_both(base.size_bytes)}")
    if base.is_declared and base.system_bytes is not None:
        parts.append(f"its system takes {_both(base.system_bytes)} as rootfs_size says")
    if data:
        parts.append(f"the data partition takes {_both(data)}, for {_both(content)} of content")
    return "; ".join(parts)


def _both(size_bytes: int) -> str:
    return f"{size_bytes} bytes ({size_text(size_bytes)})"
