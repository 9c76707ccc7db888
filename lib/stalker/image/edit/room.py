"""How large an image has to be that is created from a base. Pure: sizes in, sizes out.

What is known grows on the way: before the download the size of a base and what its author says of it; then the
base itself. The same words refuse what does not fit, as early as it is certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stalker.config.disk_sizes import GPT_TAIL_BYTES, MIB, SECTOR_BYTES, aligned, shown
from stalker.errors import PlanError
from stalker.image.edit.ext_shape import kernel_blocks
from stalker.image.filesystem import FOR_ROOT_PERCENT
from stalker.image.layout import (
    BLOCK,
    LOST_FOUND_BLOCKS,
    RESERVED_INODES,
    Measure,
    ext4_bytes,
    ext4_own_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.image.edit.ext_shape import ExtShape
    from stalker.model.creation import Output

ALIGN_BYTES = 4 * MIB
"""The erase block of common cards: partitions begin there, and an image ends there."""

MARGIN_PERCENT = 10
"""How much of the content is free afterwards: what a machine writes at its first start."""

LEAST_DATA_BYTES = 8 * MIB
"""Below this an ext4 has no room for a journal."""

MOST_CONTENT_BYTES = 1 << 44
"""16 TiB: for more, what an ext4 takes for itself is reckoned for minutes."""

EXTENT_BYTES = 64 * MIB
"""One block more is counted for each so much of a file: its extents may not stand in its inode."""

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

    `system_bytes` is where the data partition begins or will begin: what stands before it stays as it is.
    `shape` is the ext4 of the data partition that it has, of `data_bytes`. `tail_bytes` is what its table needs
    at the end.
    """

    size_bytes: int | None = None
    system_bytes: int | None = None
    data_bytes: int = 0
    shape: ExtShape | None = None
    tail_bytes: int = GPT_TAIL_BYTES
    is_told: bool = False
    """Whether this was said of it, and not read from it."""


@dataclass(frozen=True, slots=True)
class Room:
    """What was reckoned. `need_bytes` is the least that the image can have, `image_bytes` what it gets.

    `data_bytes` is the least that the data partition has, 0 where none is wanted. With `is_exact` this is how it
    will be; else the image comes to no less, and hardly to more than `most_bytes`.
    """

    content_bytes: int
    data_bytes: int
    need_bytes: int
    image_bytes: int
    most_bytes: int
    is_exact: bool


def told_base(size_bytes: int | None, rootfs_bytes: int | None) -> Base:
    """Return what is known of a base before it is here: how large it is, and what its system takes."""
    return Base(size_bytes, rootfs_bytes, is_told=True)


def measure_of(loads: Iterable[Load]) -> Measure:
    """Return what files and folders take in an ext4, at most, of which only the sizes are known."""
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
    wanted = content + LOST_FOUND_BLOCKS + margin_of(measure, margin_percent)
    inodes = measure.inodes + RESERVED_INODES
    size = LEAST_DATA_BYTES
    while True:
        blocks = wanted + -(-size // BLOCK * FOR_ROOT_PERCENT // 100) + kernel_blocks(size // BLOCK)
        need = aligned(ext4_bytes(blocks, inodes), ALIGN_BYTES)
        if need > size:
            size = need
        elif blocks + ext4_own_blocks(size // BLOCK, inodes) <= size // BLOCK:
            return size
        else:  # rounding up has brought it a larger journal
            size += ALIGN_BYTES


def grown_data_bytes(shape: ExtShape, measure: Measure, margin_percent: int = MARGIN_PERCENT) -> int:
    """Return how large an ext4 that is there has to become: its own size where it has room enough."""
    blocks = measure.data_blocks + measure.folder_blocks + margin_of(measure, margin_percent)

    def holds(size: int) -> bool:
        free = shape.free_at(size)
        return free.blocks >= blocks and free.inodes >= measure.inodes

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
    """Return what is to be free afterwards, in blocks."""
    return -(-(measure.data_blocks + measure.folder_blocks) * margin_percent // 100)


def room_for(
    base: Base,
    measure: Measure | None,
    output: Output,
    *,
    max_bytes: int | None = None,
    margin_percent: int = MARGIN_PERCENT,
) -> Room:
    """Return how large the image becomes; `measure` is what goes onto the data partition, None for nothing.

    An image is never smaller than its base. One of size auto is as small as can be, a multiple of 4 MiB where
    it is larger than the base; so is one that shrinks, whatever its size was to be.

    Raises:
        PlanError: the size that was asked for does not hold it, or it is larger than it may be.
    """
    data = 0
    if measure is not None and content_bytes(measure) > MOST_CONTENT_BYTES:
        raise PlanError(
            f"{_both(content_bytes(measure))} are to go onto the data partition, which no card holds",
            "a server may have said a wrong size of a file",
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
    if base.is_told and measure is not None:
        # What its file system keeps for itself is not known, nor whether there is one with room already.
        least = content + margin_of(measure, margin_percent) * BLOCK
        need = max(need, aligned((base.system_bytes or 0) + least, SECTOR_BYTES))
    elif data > base.data_bytes:
        begin = aligned(base.system_bytes or 0, SECTOR_BYTES if base.shape is not None else ALIGN_BYTES)
        need = max(need, aligned(begin + data + base.tail_bytes, ALIGN_BYTES))
    wanted = output.size_bytes
    if wanted is not None and wanted < need:
        raise _too_small(base, output, need, content, data, max_bytes)
    image = need if wanted is None or output.shrinks else max(wanted // SECTOR_BYTES * SECTOR_BYTES, need)
    if max_bytes is not None and image > max_bytes:
        raise PlanError(
            f"the image would have {_both(image)}, and it may have {_both(max_bytes)}",
            _why(base, content, data),
            "put less onto it, or allow more: --max-size"
            if need > max_bytes
            else f"ask for less: output.size: auto takes {_both(need)}",
        )
    most = image
    if base.is_told and (wanted is None or output.shrinks):
        spare = data // 16 + 2 * ALIGN_BYTES + base.tail_bytes
        most = max(image, (base.size_bytes or base.system_bytes or 0) + data + spare)
    return Room(content, data, need, image, most, not base.is_told)


def _too_small(
    base: Base, output: Output, need: int, content: int, data: int, max_bytes: int | None
) -> PlanError:
    assert output.size_bytes is not None
    least = "" if not base.is_told else "at least "
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
    if base.is_told and base.system_bytes is not None:
        parts.append(f"its system takes {_both(base.system_bytes)} as rootfs_size says")
    if data:
        parts.append(f"the data partition takes {_both(data)}, for {_both(content)} of content")
    return "; ".join(parts)


def _both(size_bytes: int) -> str:
    return f"{size_bytes} bytes ({shown(size_bytes)})"
