"""What is free in an ext4 that has grown: held against resize2fs, which makes it so."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.image.edit.ext_shape import ext_shape, kernel_blocks

MIB = 1 << 20
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
pytestmark = pytest.mark.skipif(not shutil.which("resize2fs", path=SBIN), reason="e2fsprogs is not installed")


def tool(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": SBIN})
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(path, size_bytes, *options):
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.truncate(size_bytes)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard", *options, str(path))
    return path


def shape_of(path):
    with path.open("rb") as file:
        return ext_shape(lambda at, count: os.pread(file.fileno(), count, at), 0)


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
    """And hardly more: nobody pays for room that is not used."""
    path = made(tmp_path / "fs", mib * MIB, *options)
    size = (mib + more_mib) * MIB + rest * 4096
    promised = shape_of(path).free_at(size)
    os.truncate(path, size)

    tool("resize2fs", "-f", str(path))

    found = shape_of(path)
    kept = found.reserved_blocks + kernel_blocks(found.blocks)
    free = (found.free_blocks - kept) * found.block_bytes // 4096
    assert promised.blocks <= free
    assert promised.inodes <= found.free_inodes
    groups = -(-size // (found.group_blocks * found.block_bytes))
    assert free - promised.blocks < size // 4096 // 50 + groups * 4 + 9000


def test_what_was_left_in_use_is_not_clean(tmp_path):
    path = made(tmp_path / "fs", 32 * MIB)
    clean = shape_of(path)

    tool("debugfs", "-w", "-R", "ssv state 0", str(path))

    assert clean.is_clean
    assert not shape_of(path).is_clean


@pytest.mark.parametrize("content", [b"", b"x" * 4096, bytes(1 << 16)])
def test_what_is_no_ext4_has_no_shape(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)

    assert shape_of(path) is None
