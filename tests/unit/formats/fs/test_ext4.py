"""What a superblock says, made by hand from the layout that the kernel documents."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import StalkerError
from stalker.formats.fs.ext4 import Super, find_super, kernel_blocks, read_super, refuse_unknown

BEFORE = 512
MIB = 1 << 20
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
with_tools = pytest.mark.skipif(not shutil.which("resize2fs", path=SBIN), reason="e2fsprogs is not installed")


def made(**fields: int) -> bytes:
    """Return what lies where a file system begins; fields are those that are not as usual."""
    data = bytearray(2048)
    values = {
        "blocks": 1000,
        "free": 500,
        "inodes": 64,
        "free_inodes": 53,
        "size": 2,
        "state": 1,
        "revision": 1,
    }
    values |= {"magic": 0xEF53, "inode_size": 256, "incompatible": 0x2C2, "read_only": 0x46B}
    values |= {"group_blocks": 32768, "group_inodes": 64, "descriptor_size": 64} | fields
    places = {"inodes": 0, "blocks": 4, "free": 12, "free_inodes": 16, "size": 24, "revision": 76}
    places |= {"first_block": 20, "group_blocks": 32, "group_inodes": 40}
    places |= {
        "incompatible": 96,
        "read_only": 100,
        "mounted": 44,
        "written": 48,
        "checked": 64,
        "orphan": 232,
        "blocks_high": 336,
        "free_high": 344,
    }
    for name, value in values.items():
        if name in places:
            struct.pack_into("<I", data, 1024 + places[name], value)
    for name, place in {"magic": 56, "state": 58, "inode_size": 88, "descriptor_size": 254}.items():
        struct.pack_into("<H", data, 1024 + place, values[name])
    return bytes(BEFORE) + bytes(data)


def read(data: bytes) -> Super:
    return read_super(lambda at, count: data[at : at + count], BEFORE)


def test_a_superblock_is_read() -> None:
    """Numbers of more than 32 bits too, where it has them."""
    found = read(made(blocks_high=2, free_high=1))

    assert (found.block_bytes, found.inode_bytes) == (4096, 256)
    assert (found.blocks, found.free_blocks, found.free_inodes) == ((2 << 32) + 1000, (1 << 32) + 500, 53)
    assert found.has_extents
    assert found.has_large_files
    assert found.is_clean


def test_high_halves_without_the_feature_are_nothing() -> None:
    """Older ones have something else there."""
    found = read(made(incompatible=0x42, blocks_high=2, free_high=1))

    assert (found.blocks, found.free_blocks) == (1000, 500)


def test_the_oldest_have_no_features() -> None:
    """Revision 0 has small inodes, and anything where features stand later."""
    found = read(made(revision=0, incompatible=0xFFFF, read_only=0xFFFF, state=1))

    assert (found.inode_bytes, found.incompatible, found.read_only) == (128, 0, 0)


@pytest.mark.parametrize(
    "change",
    [{"state": 0}, {"state": 3}, {"incompatible": 0x46}, {"read_only": 0x10001}, {"orphan": 12}],
)
def test_what_was_not_closed_is_refused(change: dict[str, int]) -> None:
    """In use, with errors, a journal or orphans to be dealt with."""
    found = read(made(**change))

    assert not found.is_clean
    with pytest.raises(StalkerError, match="not closed properly"):
        refuse_unknown(found, 1 << 40)


@pytest.mark.parametrize("name", ["mounted", "written", "checked"])
def test_the_last_time_is_told(name: str) -> None:
    """Whichever it was: the tools take none before it."""
    times = {"mounted": 5, "written": 6, "checked": 7} | {name: 1_700_000_000}

    assert read(made(**times)).latest_s == 1_700_000_000


@pytest.mark.parametrize(
    "data",
    [
        made(magic=0),
        made()[:2000],
        b"",
        made(size=7),
        made(size=1 << 31),
        made(group_blocks=0),
        made(group_inodes=0),
        made(first_block=1000),
        made(inode_size=100),
        made(inode_size=384),
        made(inode_size=8192),
        made(descriptor_size=32),
        made(descriptor_size=0),
    ],
)
def test_what_linux_would_not_mount_is_not_a_superblock(data: bytes) -> None:
    """Damaged numbers lead nowhere: no division by zero, no block of 2^31 bytes."""
    assert find_super(lambda at, count: data[at : at + count], BEFORE) is None
    with pytest.raises(StalkerError, match="no ext2, ext3 or ext4"):
        read(data)


@pytest.mark.parametrize(
    ("change", "name", "remedy"),
    [
        ({"incompatible": 0x8042}, "inline_data", "mke2fs -O ^inline_data"),
        ({"incompatible": 0x142}, "mmp", "tune2fs -O ^mmp"),
        ({"incompatible": 0x80000042}, "0x80000000", "another base"),
        ({"read_only": 0x203}, "bigalloc", "mke2fs -O ^bigalloc"),
        ({"read_only": 0x103}, "quota", "tune2fs -O ^quota"),
        ({"read_only": 0x1003}, "read-only", "tune2fs -O ^read-only"),
    ],
)
def test_a_feature_that_is_not_supported_is_named(change: dict[str, int], name: str, remedy: str) -> None:
    """With what to do about it; an unknown one too."""
    with pytest.raises(StalkerError, match=f"has the feature {name}") as raised:
        refuse_unknown(read(made(**change)), 1 << 40)

    assert remedy in raised.value.resolution


def test_a_file_system_has_to_fit_its_partition() -> None:
    """Exactly is enough."""
    refuse_unknown(read(made()), 1000 * 4096)

    with pytest.raises(StalkerError, match="larger than its partition"):
        refuse_unknown(read(made()), 1000 * 4096 - 1)


def tool(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": SBIN})
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_ext4(path, size_bytes, *options):
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.truncate(size_bytes)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", *options, str(path))
    return path


def super_of(path):
    with path.open("rb") as file:
        return find_super(lambda at, count: os.pread(file.fileno(), count, at), 0)


@with_tools
@pytest.mark.parametrize(
    ("mib", "options"),
    [
        (16, ()),
        (200, ("-b", "1024")),
        (64, ("-b", "4096", "-N", "64")),
        (300, ("-b", "4096", "-m", "5")),
        (512, ("-O", "^64bit,^metadata_csum,^flex_bg")),
        (100, ("-b", "4096", "-O", "^resize_inode")),
        (40, ("-b", "2048", "-O", "^sparse_super,^resize_inode")),
    ],
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more_mib=st.integers(0, 20_000), rest=st.integers(0, 1023))
def test_what_is_promised_is_there_after_growing(tmp_path, mib, options, more_mib, rest):
    """And hardly more, so an image is not larger than it has to be."""
    path = new_ext4(tmp_path / "fs", mib * MIB, *options)
    size = (mib + more_mib) * MIB + rest * 4096
    promised = super_of(path).free_at(size)
    os.truncate(path, size)

    tool("resize2fs", "-f", str(path))

    found = super_of(path)
    kept = found.reserved_blocks + kernel_blocks(found.blocks)
    free = (found.free_blocks - kept) * found.block_bytes // 4096
    assert promised.blocks <= free
    assert promised.inodes <= found.free_inodes
    groups = -(-size // (found.group_blocks * found.block_bytes))
    assert free - promised.blocks < size // 4096 // 50 + groups * 4 + 9000


@with_tools
def test_what_was_left_in_use_is_not_clean(tmp_path):
    path = new_ext4(tmp_path / "fs", 32 * MIB)
    clean = super_of(path)

    tool("debugfs", "-w", "-R", "ssv state 0", str(path))

    assert clean.is_clean
    assert not super_of(path).is_clean


@with_tools
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext2", ("-O", "^has_journal,^extent,^64bit,^metadata_csum")),
        ("ext3", ("-O", "^extent,^64bit,^metadata_csum")),
        ("ext4", ()),
    ],
)
def test_the_kind_label_and_id_are_those_of_blkid(tmp_path, kind, options):
    """Of each of the three."""
    made_id = "11111111-2222-4333-8444-555555555555"
    found = super_of(new_ext4(tmp_path / "fs", 16 * MIB, "-L", "a label", "-U", made_id, *options))

    assert (found.kind, found.label, found.uuid) == (kind, "a label", made_id)
    assert found.inodes > found.free_inodes > 0


@with_tools
def test_the_oldest_revision_is_read_as_such(tmp_path):
    """`mke2fs -r 0` makes no features, and inodes of 128 bytes."""
    path = new_ext4(tmp_path / "fs", 4 * MIB, "-r", "0", "-O", "none", "-I", "128")

    found = super_of(path)
    assert (found.kind, found.inode_bytes, found.incompatible, found.read_only) == ("ext2", 128, 0, 0)
    assert found.is_clean
