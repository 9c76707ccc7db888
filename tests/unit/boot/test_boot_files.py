"""Files to boot from, found in the partitions of a disk."""

import pytest

from stalker.boot.boot_files import NotBootable, locate, newest
from stalker.boot.machines import (
    Part,
)

MIB = 1 << 20
BOOT = Part(1, "boot", "vfat", 1 * MIB, 64 * MIB, "1a2b3c4d-01", "/boot/firmware")
ROOT = Part(2, "root", "ext4", 65 * MIB, 900 * MIB, "1a2b3c4d-02", "/")
DATA = Part(3, "data", "ext4", 965 * MIB, 64 * MIB, "1a2b3c4d-03")
PARTS = (BOOT, ROOT, DATA)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("boot:vmlinuz*", (BOOT, "/vmlinuz*")),
        ("root:boot/vmlinuz", (ROOT, "/boot/vmlinuz")),
        ("data:/k", (DATA, "/k")),
        ("/boot/firmware/kernel7.img", (BOOT, "/kernel7.img")),
        ("/boot/vmlinuz-*", (ROOT, "/boot/vmlinuz-*")),
        ("/boot/firmware2/x", (ROOT, "/boot/firmware2/x")),
    ],
)
def test_a_file_is_looked_for_in_the_partition_that_holds_it(text, found):
    """By the partition's name, or by the path that the image has it at."""
    assert locate(text, PARTS) == found


@pytest.mark.parametrize("text", ["esp:vmlinuz", "/boot/vmlinuz"])
def test_a_missing_partition_is_an_error(text):
    """A disk without it boots nothing."""
    with pytest.raises(NotBootable):
        locate(text, (DATA,))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["vmlinuz-6.1.0-9-armmp", "vmlinuz-6.1.0-50-armmp"], "vmlinuz-6.1.0-50-armmp"),
        (["vmlinuz", "vmlinuz.old"], "vmlinuz"),
        (["vmlinuz.old"], "vmlinuz.old"),
        (["kernel8.img", "kernel7.img"], "kernel8.img"),
    ],
)
def test_of_several_kernels_the_newest_is_taken(names, chosen):
    """Numbers are compared as numbers, and what was set aside is not taken."""
    assert newest(names) == newest(reversed(names)) == chosen
