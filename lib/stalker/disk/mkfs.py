"""How the file systems of a disk are made by their own tools, at their places in the image. Pure: an argv each."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from stalker.disk.layout import BLOCK, INODE_BYTES, fat_shape

if TYPE_CHECKING:
    from stalker.disk.ids import PartitionIds
    from stalker.disk.layout import Placed
    from stalker.formats.fs.ext4 import Super

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


FEATURES = (
    {
        0x1: "dir_prealloc", 0x4: "has_journal", 0x8: "ext_attr", 0x10: "resize_inode", 0x20: "dir_index",
        0x200: "sparse_super2", 0x400: "fast_commit", 0x1000: "orphan_file",
    },
    {
        0x2: "filetype", 0x10: "meta_bg", 0x40: "extent", 0x80: "64bit", 0x200: "flex_bg", 0x400: "ea_inode",
        0x2000: "metadata_csum_seed", 0x4000: "large_dir", 0x8000: "inline_data", 0x20000: "casefold",
    },
    {
        0x1: "sparse_super", 0x2: "large_file", 0x8: "huge_file", 0x10: "uninit_bg", 0x20: "dir_nlink",
        0x40: "extra_isize", 0x100: "quota", 0x200: "bigalloc", 0x400: "metadata_csum", 0x2000: "project",
        0x8000: "verity",
    },
)  # fmt: skip
"""The features of an ext that mke2fs makes: compatible, incompatible, and those that only stop writing."""
_ERRORS = {1: "continue", 2: "remount-ro", 3: "panic"}


def ext_like_argv(raw: bytes, shape: Super, start_bytes: int, size_bytes: int, file: str) -> list[str]:
    """Return what makes an ext like another one, whose superblock is `raw`, and fills it with a tar from its input.

    It has the same UUID, label, features, blocks and inodes; a larger one has more inodes in proportion.
    """
    blocks = size_bytes // shape.block_bytes
    inodes = max(shape.inodes * blocks // shape.blocks, shape.inodes)
    bits = (shape.compatible, shape.incompatible, shape.read_only)
    features = [
        name for own, known in zip(bits, FEATURES, strict=True) for bit, name in known.items() if own & bit
    ]
    seed = str(uuid.UUID(bytes=raw[236:252]))
    options = f"offset={start_bytes},hash_seed={seed},root_owner=0:0,lazy_itable_init=1,nodiscard"
    argv = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        shape.kind,
        "-b",
        str(shape.block_bytes),
        "-I",
        str(shape.inode_bytes),
    ]
    argv += ["-N", str(inodes), "-O", ",".join(["none", *features]), "-U", shape.uuid, "-E", options]
    argv += ["-m", f"{min(100 * shape.reserved_blocks / shape.blocks, 50):.6f}", "-L", shape.label]
    argv += ["-M", raw[136:200].partition(b"\0")[0].decode("utf-8", "replace")]
    errors = int.from_bytes(raw[60:62], "little")
    if errors in _ERRORS:
        argv += ["-e", _ERRORS[errors]]
    if "flex_bg" in features and raw[372]:
        argv += ["-G", str(1 << min(raw[372], 20))]
    if "bigalloc" in features:
        argv += ["-C", str(1024 << int.from_bytes(raw[28:32], "little"))]
    return [*argv, "-d", "-", file, str(blocks)]


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
