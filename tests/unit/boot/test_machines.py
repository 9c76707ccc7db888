"""How each machine of QEMU is started."""

from dataclasses import replace

import pytest

from stalker.boot.machines import (
    BOARDS,
    FIRMWARE,
    Part,
    architecture_of,
    card_bytes,
    firmware_of,
    kernel_arguments,
    qemu_argv,
)
from stalker.errors import StalkerError
from stalker.model.artifacts import MACHINES, BootTest
from stalker.model.diagnostics import Place

HERE = Place("trees/t/t.hjson", 7, 3, "boot_test")
MIB = 1 << 20
BOOT = Part(1, "boot", "vfat", 1 * MIB, 64 * MIB, "1a2b3c4d-01", "/boot/firmware")
ROOT = Part(2, "root", "ext4", 65 * MIB, 900 * MIB, "1a2b3c4d-02", "/")
DATA = Part(3, "data", "ext4", 965 * MIB, 64 * MIB, "1a2b3c4d-03")
PARTS = (BOOT, ROOT, DATA)


def boots(machine, **more):
    return BootTest(machine, HERE, **more)


def started(machine, **more):
    """Return the command of a machine as one text, with a kernel unless it has a firmware."""
    files = {} if more.get("firmware") else {"kernel": "/tmp/k", "initrd": "/tmp/i", "append": "quiet"}
    if not more.get("firmware"):
        more["kernel"] = "boot:vmlinuz*"
    return " ".join(qemu_argv(boots(machine, **more), disk="/tmp/d", **files))


@pytest.mark.parametrize(
    ("machine", "more", "holds", "lacks"),
    [
        ("raspi2b", {}, "qemu-system-arm -M raspi2b if=sd -serial stdio -smp 4 -m 1024M", "-cpu -device null"),
        ("raspi3b", {}, "qemu-system-aarch64 if=sd -serial null -serial stdio", "-cpu -device"),
        ("virt", {"architecture": "arm"}, "qemu-system-arm -cpu cortex-a15 virtio-blk-device", "if=sd"),
        ("virt", {}, "qemu-system-aarch64 -cpu cortex-a53 virtio-blk-device -kernel /tmp/k", "-bios"),
        ("virt", {"firmware": "u-boot"}, "-bios /usr/lib/u-boot/qemu_arm64/u-boot.bin", "-kernel -append"),
        ("virt", {"firmware": "uefi", "architecture": "arm"}, "-bios /usr/lib/u-boot/qemu_arm/u-boot.bin", "-kernel"),
        ("q35", {"firmware": "bios"}, "qemu-system-x86_64 -M q35 -cpu max virtio-blk-pci", "-bios -kernel"),
        ("q35", {"firmware": "uefi"}, "-bios /usr/share/ovmf/OVMF.fd", "-kernel"),
        ("pc", {}, "-M pc -kernel /tmp/k -initrd /tmp/i -append quiet", "-dtb"),
        ("microvm", {}, "-M microvm,acpi=off virtio-blk-device", "-vga"),
        ("virt", {"cpu": "max,pauth=off", "cpus": 1, "memory_bytes": 64 * MIB}, "-cpu max,pauth=off -smp 1 -m 64M", ""),
        ("virt", {}, "-nic none -no-reboot", "-netdev"),
        ("virt", {"has_network": True}, "-netdev user,id=net virtio-net-device,netdev=net", "-nic"),
        ("q35", {"has_network": True}, "virtio-net-pci,netdev=net", "-nic"),
        ("versatilepb", {"architecture": "arm"}, "qemu-system-arm -M versatilepb virtio-blk-pci", "-cpu"),
    ],
)  # fmt: skip
def test_a_machine_is_started_with_what_it_needs(machine, more, holds, lacks):
    """Its own disk, console, processor; no network unless asked for."""
    command = started(machine, **more)

    assert [word for word in holds.split() if word not in command] == []
    assert [word for word in lacks.split() if word in command] == []
    assert "file=/tmp/d,format=qcow2" in command


def test_kvm_takes_the_processor_of_the_host():
    """Another one would be refused."""
    argv = qemu_argv(boots("q35", firmware="bios"), disk="/tmp/d", accelerator="kvm")

    assert argv[argv.index("-cpu") + 1] == "host"
    assert argv[argv.index("-accel") + 1] == "kvm"


@pytest.mark.parametrize("more", [{"cpus": 1}, {"memory_bytes": 512 * MIB}])
def test_a_board_has_what_it_has(more):
    """With its other processors parked a Raspberry Pi would spin in QEMU: nobody may ask for one."""
    with pytest.raises(StalkerError) as raised:
        started("raspi2b", **more)

    assert raised.value.brief.startswith(f"{HERE}: a raspi2b has 4 processors")


def test_a_card_has_a_size_that_qemu_takes():
    """QEMU refuses an SD card whose size is not a power of two; any other disk stays as it is."""
    sizes = [1, 2 * MIB, 3 * MIB, 1093 * MIB]

    assert [card_bytes(boots("raspi2b"), size) for size in sizes] == [1, 2 * MIB, 4 * MIB, 2048 * MIB]
    assert [card_bytes(boots("virt"), size) for size in sizes] == sizes


@pytest.mark.parametrize(
    ("machine", "own", "made"),
    [
        ("raspi2b", "console=serial0,115200 console=tty1 root=PARTUUID=1-2 quiet",
         "console=tty1 root=PARTUUID=1-2 quiet console=ttyAMA0,115200"),
        ("raspi3b", "console=ttyAMA0,115200 root=LABEL=r maxcpus=1 nr_cpus=2",
         "root=LABEL=r console=ttyS1,115200"),
        ("virt", "console=tty0 console=ttyS1,115200 root=/dev/mmcblk0p2 rootwait maxcpus=1",
         "console=tty0 root=/dev/vda2 rootwait maxcpus=1 console=ttyAMA0"),
        ("raspi2b", "root=/dev/sda3", "root=/dev/mmcblk0p3 console=ttyAMA0,115200"),
        ("q35", "root=/dev/nvme0n1p2 ro", "root=/dev/vda2 ro console=ttyS0"),
        ("q35", "", "root=PARTUUID=1a2b3c4d-02 rw rootwait console=ttyS0"),
        ("virt", "root=UUID=x console=hvc0 rootflags=subvol=@", "root=UUID=x rootflags=subvol=@ console=ttyAMA0"),
    ],
)  # fmt: skip
def test_the_disks_own_arguments_are_made_fit_for_the_machine(machine, own, made):
    """Console and names of drivers change; what names a partition by itself stays."""
    assert kernel_arguments(boots(machine), own, PARTS) == made


def test_arguments_of_the_test_are_taken_as_they_are():
    """Who writes them knows what they want."""
    assert kernel_arguments(boots("raspi2b", append="a maxcpus=1"), "b", PARTS) == "a maxcpus=1"


def test_a_root_without_a_uuid_is_named_by_its_number():
    """A table that gives its partitions none has them in an order."""
    parts = (BOOT, replace(ROOT, uuid=""))

    assert kernel_arguments(boots("raspi2b"), "", parts).startswith("root=/dev/mmcblk0p2 ")


@pytest.mark.parametrize(
    ("machine", "root"), [("virt", "/dev/vda"), ("q35", "/dev/vda"), ("raspi2b", "/dev/mmcblk0")]
)
def test_a_disk_without_a_table_is_its_root(machine, root):
    """So a root file system is booted that was published as a tar; a PARTUUID in it is of another disk."""
    parts = (replace(ROOT, start_bytes=0),)

    for own in ("quiet", "root=PARTUUID=1-2 quiet"):
        assert kernel_arguments(boots(machine), own, parts).startswith(f"quiet root={root} rw rootwait ")


def test_every_machine_that_a_tree_may_name_can_be_started():
    """The words of the tree file and what is done with them do not part."""
    for name, machine in MACHINES.items():
        for architecture in machine.architectures:
            assert (name, architecture) in BOARDS
        for firmware in machine.firmware:
            test = boots(name, firmware=firmware)
            assert firmware == "bios" or firmware_of(test) == FIRMWARE[name, architecture_of(test), firmware]
        board = BOARDS[name, machine.architectures[0]]
        assert board.is_fixed == bool(machine.cpus)
        assert not machine.cpus or (board.cpus, board.memory_bytes) == (machine.cpus, machine.memory_bytes)


@pytest.mark.parametrize(
    ("test", "brief"),
    [
        (boots("raspi9"), "no machine named 'raspi9' is known"),
        (boots("raspi2b"), "a raspi2b boots no disk by itself"),
        (boots("raspi2b", firmware="u-boot"), "no firmware u-boot is here for a raspi2b (arm)"),
        (boots("q35", firmware="uefi", architecture="i386"), "no firmware uefi is here for a q35 (i386)"),
    ],
)
def test_what_cannot_be_started_is_told(test, brief):
    """With its place in the tree file."""
    with pytest.raises(StalkerError) as raised:
        firmware_of(test) if test.machine in MACHINES else architecture_of(test)

    assert raised.value.brief == f"{HERE}: {brief}"
