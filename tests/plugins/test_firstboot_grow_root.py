"""firstboot.grow_root: what it installs grows a file system on a real disk, and does no harm.

To grow it while it is mounted takes a capability that containers seldom get; the boot test of
trees/raspi3 does that.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.docker

IMAGE = "stalker-test/debian-fdisk"
UNIT = "/etc/systemd/system/grow-root.service"
RIGHTS = (
    "--cap-add=SYS_ADMIN",
    "--device-cgroup-rule=b *:* rwm",
    "--volume=/dev:/dev",
    "--security-opt=seccomp=unconfined",
)
"""What loop devices, partitions and mounts take; all of them together is more than some hosts have to give."""


@pytest.fixture
def ready(derived):
    """A Debian with the tools, in which the plugin has run."""

    def use(*options, **arguments):
        machine = derived(IMAGE, ["fdisk", "e2fsprogs"], "--network=none", *options)
        ran = machine.use("firstboot.grow_root", **arguments)
        assert ran.code == 0, ran.output
        return machine

    return use


@dataclass
class Disk:
    """A file as a disk of 128 MiB with two partitions."""

    machine: object
    loop: str

    @property
    def part(self):
        return f"{self.loop}p2"

    def table(self):
        return self.machine.read(f"sfdisk --dump {self.loop} 2>/dev/null")

    def mib(self, number=2):
        """The size of a partition as the kernel knows it."""
        return int(self.machine.read(f"cat /sys/class/block/{self.loop[5:]}p{number}/size")) // 2048


@pytest.fixture
def disk(ready):
    """Make a disk by a table that sfdisk reads: it was 48 MiB, and was put on a card of 128 MiB."""
    made = []

    def make(table, **arguments):
        machine = ready(*RIGHTS, **arguments)
        loop = machine.read("truncate -s 48M /disk.img; losetup --find --show /disk.img")
        made.append((machine, loop))
        machine.read(f"sfdisk --quiet --no-reread --no-tell-kernel {loop} <<'END'\n{table}\nEND")
        machine.read(f"truncate -s 128M /disk.img; losetup --set-capacity {loop}; partx --add {loop}")
        machine.read(
            f"mkfs.ext4 -q -b 1024 {loop}p2; mkdir -p /mnt/x; mount {loop}p2 /mnt/x; echo here >/mnt/x/file;"
            f" umount /mnt/x; e2fsck -f -p {loop}p2"
        )
        return Disk(machine, loop)

    yield make
    for machine, loop in made:
        machine.sh(f"partx --delete {loop}; losetup --detach {loop}")


MBR = "label: dos\nlabel-id: 0x1a2b3c4d\nstart=2048, size=8192, type=c, bootable\nstart=16384, size=65536, type=83"
GPT = "label: gpt\nfirst-lba: 2048\nstart=2048, size=8192, type=U\nstart=16384, size=65536, type=L, name=root"


@pytest.mark.parametrize("table", [MBR, GPT], ids=["mbr", "gpt"])
def test_the_file_system_fills_the_disk(disk, table):
    """Its content, ids, types and the other partition stay; a second time there is nothing to gain."""
    one = disk(table)
    before = one.table()

    first = one.machine.sh(f"grow-root {one.part}")
    after = one.table()
    second = one.machine.sh(f"grow-root {one.part}")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert one.mib() in {119, 120}
    assert int(one.machine.read(f"mount {one.part} /mnt/x; stat -f -c %b /mnt/x; umount /mnt/x")) > 105 * 1024
    assert one.machine.read(f"mount {one.part} /mnt/x; cat /mnt/x/file; umount /mnt/x") == "here"
    assert f"{one.part} has" in first.output
    assert "no free space" in second.output
    assert one.table() == after
    kept = [line for line in before.splitlines() if not line.startswith(("last-lba", one.part))]
    assert [line for line in after.splitlines() if not line.startswith(("last-lba", one.part))] == kept
    assert "No errors detected" in one.machine.read(f"sfdisk --verify {one.loop}")
    one.machine.read(f"e2fsck -fn {one.part}")


def test_it_stops_where_the_next_partition_begins(disk):
    """What stands behind it is not touched."""
    one = disk(f"{MBR}\nstart=90112, size=4096, type=82")

    ran = one.machine.sh(f"grow-root {one.part}")

    assert ran.code == 0, ran.output
    assert one.mib() == (90112 - 16384) // 2048
    assert "start=       90112, size=        4096, type=82" in one.table()


def test_what_is_to_be_left_is_left(disk):
    """leave: 64M stays free at the end."""
    one = disk(MBR, leave="64M")

    ran = one.machine.sh(f"grow-root {one.part}")

    assert ran.code == 0, ran.output
    assert one.mib() == 128 - 64 - 8


def test_a_growth_that_was_cut_off_is_ended(disk):
    """The partition had grown, its file system had not."""
    one = disk(MBR)
    one.machine.read(
        "printf '#!/bin/sh\\nexit 9\\n' >/usr/local/bin/resize2fs; chmod 755 /usr/local/bin/resize2fs"
    )
    cut = one.machine.sh(f"sed 's|PATH=|PATH=/usr/local/bin:|' /usr/local/sbin/grow-root | sh -s {one.part}")

    again = one.machine.sh(f"grow-root {one.part}")

    assert (cut.code, again.code) == (9, 0), cut.output + again.output
    assert int(one.machine.read(f"mount {one.part} /mnt/x; stat -f -c %b /mnt/x; umount /mnt/x")) > 105 * 1024


def test_a_root_that_is_no_partition_is_left_alone(ready):
    """In a container / is an overlay: the service ends well and does nothing."""
    machine = ready()

    ran = machine.sh("grow-root")

    assert ran.code == 0
    assert "is not a partition" in ran.output


def test_systemd_takes_the_unit_and_it_is_enabled_once(ready):
    """A second use changes nothing."""
    machine = ready()
    listing = machine.listing()

    again = machine.use("firstboot.grow_root")

    assert again.code == 0, again.output
    assert machine.listing() == listing
    assert machine.read("systemctl --root=/ is-enabled grow-root") == "enabled"
    assert "grow-root.service" not in machine.sh(f"systemd-analyze verify --man=no {UNIT}").output


def test_a_size_that_is_none_is_refused(machine):
    """Nothing is installed."""
    ran = machine.use("firstboot.grow_root", leave="lots")

    assert ran.code == 1
    assert "'lots' is not a size" in ran.output
