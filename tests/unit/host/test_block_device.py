"""What the kernel tells of disks, read from trees of files that look like sysfs and procfs.

The device nodes are those of this machine's loop devices and `/dev/null`'s kin: what is read of them is ours.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stalker.errors import PlanError
from stalker.host import block_device as module
from stalker.host.block_device import Part, check_writable, see_device

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = (8, 16)
SECTORS = 62_333_952  # of a "32 GB" card
MOUNT = "36 29 {0} / {1} rw,relatime shared:1 - {2} {3} rw\n"


class Machine:
    """A machine with one disk, `sdb`, whose node is a plain file that claims to be a block device."""

    def __init__(self, root: Path, name: str = "sdb", bus: str = "pci0000:00/usb1/1-1") -> None:
        self.root = root
        self.name = name
        self.sys, self.proc = root / "sys", root / "proc"
        self.folder = self.sys / "devices" / bus / "block" / name
        self.node = root / "node"
        self.node.touch()
        self.write("", size=SECTORS, removable=1, ro=0, dev="8:16")
        self.write("queue", write_zeroes_max_bytes=0)
        self.write("device", vendor="Generic ", model="STORAGE DEVICE  ")
        (self.folder / "holders").mkdir()
        (self.sys / "dev/block").mkdir(parents=True)
        (self.sys / "dev/block/8:16").symlink_to(self.folder)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text(MOUNT.format("254:0", "/", "ext4", "/dev/vda"))
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")

    def write(self, folder: str, **files: object) -> None:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (self.folder / folder / name).write_text(f"{content}\n")

    def partition(self, number: int, start: int, sectors: int) -> str:
        name = f"{self.name}{number}"
        self.write(name, partition=number, start=start, size=sectors, dev=f"8:{16 + number}")
        (self.folder / name / "holders").mkdir()
        return name

    def mount(self, *fields: str) -> None:
        with (self.proc / "self/mountinfo").open("a") as file:
            file.write(MOUNT.format(*fields))

    def see(self) -> module.Device:
        return see_device(str(self.node), str(self.sys), str(self.proc))


@pytest.fixture(autouse=True)
def nodes(monkeypatch):
    """`node` is block device 8:16, whatever it is; nobody has to be root to make it."""
    real = module.Path.stat

    def told(path, **more):
        found = real(path, **more)
        if path.name != "node":
            return found
        fields = list(found)
        fields[0] = stat.S_IFBLK | 0o660
        return os.stat_result(fields, {"st_rdev": os.makedev(*NUMBER)})

    monkeypatch.setattr(module.Path, "stat", told)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def refusal(machine, needed=1000, *, allow_fixed=False):
    with pytest.raises(PlanError) as caught:
        check_writable(machine.see(), needed, allow_fixed=allow_fixed)
    return caught.value


def test_a_card_in_a_reader_may_be_written(machine):
    """Its make, size, kind and partitions are reported for the question."""
    machine.partition(1, 8192, 524288)
    machine.partition(10, 8192 + 524288, 1000)
    machine.partition(2, 532480, 4000)

    found = machine.see()

    assert check_writable(found, 31 * 10**9, allow_fixed=False) is None
    assert (found.name, found.size_bytes, found.kind) == ("sdb", SECTORS * 512, "USB")
    assert found.title == f"{machine.node}, Generic STORAGE DEVICE, 29.8 GiB, USB"
    assert found.parts[0] == Part("sdb1", 8192 * 512, 524288 * 512)
    assert [part.name for part in found.parts] == ["sdb1", "sdb2", "sdb10"]


@pytest.mark.parametrize(
    ("name", "bus", "removable", "card_type", "kind", "is_fixed"),
    [
        ("sdb", "pci0000:00/usb1/1-1", 1, "", "USB", False),
        ("sdb", "pci0000:00/usb2/2-1", 0, "", "USB", False),  # a disk in a box
        ("sda", "pci0000:00/ata1/host0", 0, "", "fixed disk", True),
        ("sda", "pci0000:00/ata1/host0", 1, "", "removable", False),
        ("nvme0n1", "pci0000:00/nvme/nvme0", 0, "", "fixed disk", True),
        ("mmcblk0", "platform/mmc0", 0, "SD", "SD card", False),
        ("mmcblk1", "platform/mmc1", 0, "MMC", "built-in flash memory", True),
        ("vda", "pci0000:00/virtio1", 0, "", "fixed disk", True),
        ("loop0", "virtual", 0, "", "loop device", True),
    ],
)
def test_what_can_be_taken_out_is_told_from_what_is_built_in(
    tmp_path, name, bus, removable, card_type, kind, is_fixed
):
    """The kernel calls no SD slot removable, and no USB disk: how they are connected decides."""
    machine = Machine(tmp_path, name, bus)
    machine.write("", removable=removable)
    machine.write("device", type=card_type)

    found = machine.see()

    assert (found.kind, found.is_fixed) == (kind, is_fixed)


@pytest.mark.parametrize("name", ["dm-0", "md127", "zram0", "sr0", "nbd0", "mtdblock0", "ram0"])
def test_what_is_no_disk_at_all_is_refused(tmp_path, name):
    """Not even --fixed means an array or a disc."""
    with pytest.raises(PlanError, match="not a disk that images are written to"):
        Machine(tmp_path, name, "virtual").see()


def test_a_partition_is_refused_with_the_disk_to_name(machine):
    """An image has a partition table of its own."""
    machine.write("", partition=1)

    with pytest.raises(PlanError, match="is a partition of block") as caught:
        machine.see()

    assert "/dev/" in caught.value.resolution


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("8:16", "/media/card", "vfat", "/dev/none"), "sdb is mounted on /media/card"),
        (("8:17", r"/media/my\040card", "ext4", "/dev/none"), "sdb1 is mounted on /media/my card"),
    ],
)
def test_a_mounted_disk_is_refused(machine, fields, said):
    """Itself or one of its partitions, wherever."""
    machine.partition(1, 2048, 4096)
    machine.mount(*fields)

    error = refusal(machine, allow_fixed=True)

    assert "is in use" in error.brief
    assert said in error.details


def test_a_mount_that_tells_another_number_is_found_by_its_source(machine, monkeypatch):
    """Btrfs has numbers of its own; its source is the device."""
    monkeypatch.setattr(module, "_device_number", lambda path: "8:16" if path == "/dev/sdb" else "")
    machine.mount("0:45", "/data", "btrfs", "/dev/sdb")

    assert "sdb is mounted on /data" in refusal(machine).details


def test_a_disk_that_is_swapped_to_is_refused(machine, monkeypatch):
    monkeypatch.setattr(module, "_device_number", lambda path: "8:17" if path == "/dev/sdb1" else "")
    machine.partition(1, 2048, 4096)
    with (machine.proc / "swaps").open("a") as file:
        file.write("/dev/sdb1 partition 1000 0 -2\n/swapfile file 1000 0 -3\n")

    assert "sdb1 is swap" in refusal(machine).details


@pytest.mark.parametrize(("holder", "name", "said"), [("dm-3", "vg-root", "vg-root"), ("md0", "", "md0")])
def test_a_part_of_another_device_is_refused(machine, holder, name, said):
    """LVM, encryption, RAID: named as their tools name them."""
    part = machine.partition(1, 2048, 4096)
    made = machine.root / "virtual" / holder
    (made / "dm").mkdir(parents=True)
    if name:
        (made / "dm/name").write_text(f"{name}\n")
    (machine.folder / part / "holders" / holder).symlink_to(made)

    assert f"sdb1 is part of {said}" in refusal(machine, allow_fixed=True).details


@pytest.mark.parametrize(
    ("files", "needed", "said"),
    [
        ({"ro": 1}, 1000, "is read-only"),
        ({"size": 0}, 1000, "is empty"),
        ({}, SECTORS * 512 + 1, "is too small"),
    ],
)
def test_each_other_reason_is_told_alone(machine, files, needed, said):
    machine.write("", **files)

    assert said in refusal(machine, needed).brief


def test_an_image_that_fits_exactly_fits(machine):
    assert check_writable(machine.see(), SECTORS * 512, allow_fixed=False) is None
    assert check_writable(machine.see(), None, allow_fixed=False) is None


def test_use_outweighs_everything(machine):
    """A read-only, fixed, mounted disk is reported as mounted: the other two would not help."""
    machine.mount("8:16", "/", "ext4", "/dev/none")
    found = replace(machine.see(), is_read_only=True, is_fixed=True)

    with pytest.raises(PlanError, match="is in use"):
        check_writable(found, 1000, allow_fixed=False)
