"""How the file systems of a disk are made by their own tools, at their places in the image. Pure: an argv each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.disk.layout import BLOCK, INODE_BYTES, fat_shape

if TYPE_CHECKING:
    from stalker.disk.ids import PartitionIds
    from stalker.disk.layout import Placed

NOT_EVERYWHERE = "^metadata_csum_seed,^orphan_file"
"""Features of ext4 that kernels before 5.15 and many boot loaders do not read."""

FOR_ROOT_PERCENT = 1


def ext4_argv(placed: Placed, ids: PartitionIds, file: str, inodes: int, *, is_filled: bool) -> list[str]:
    """Return what makes an ext4 of so many inodes; with `is_filled` it reads a tar from its input."""
    options = f"offset={placed.start_bytes},hash_seed={ids.uuid},root_owner=0:0,lazy_itable_init=1,nodiscard"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", str(INODE_BYTES), "-N", str(inodes)]
    argv += ["-O", NOT_EVERYWHERE, "-m", str(FOR_ROOT_PERCENT), "-U", ids.uuid, "-E", options]
    if placed.partition.label:
        argv += ["-L", placed.partition.label]
    if is_filled:
        argv += ["-d", "-"]
    return [*argv, file, str(placed.size_bytes // BLOCK)]


def vfat_argv(placed: Placed, ids: PartitionIds, file: str) -> list[str]:
    """Return what makes an empty FAT."""
    kind, cluster = fat_shape(placed.size_bytes)
    # What --invariant sets for the serial number is replaced by what follows it.
    argv = ["mkfs.vfat", "-F", str(kind), "-s", str(cluster), "--invariant", "-i", ids.uuid.replace("-", "")]
    if placed.partition.label:
        argv += ["-n", placed.partition.label]
    start = placed.start_bytes // 512
    return [*argv, "-h", str(start), "--offset", str(start), file, str(placed.size_bytes // 1024)]


def swap_argv(placed: Placed, ids: PartitionIds, file: str) -> list[str]:
    """Return what makes a swap."""
    argv = ["mkswap", "-q", "-o", str(placed.start_bytes), "-U", ids.uuid]
    if placed.partition.label:
        argv += ["-L", placed.partition.label]
    return [*argv, file, str(placed.size_bytes // 1024)]


def squashfs_argv(file: str) -> list[str]:
    """Return what makes a squashfs of a tar in its input, a file by itself."""
    return ["sqfstar", "-quiet", "-no-progress", "-comp", "zstd", file]
