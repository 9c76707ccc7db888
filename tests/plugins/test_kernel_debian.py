"""kernel.debian and the raspi plugins: a kernel, an initramfs that is made in a second, a boot partition."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow]

IMAGE = "stalker-test/debian-kernel"
FDISK = "stalker-test/debian-fdisk"
KERNEL = {"package": "linux-image-cloud-amd64", "modules": ["ext4", "xfs", "crc32c-generic"]}
UNPACK = "mkdir /tmp/x; cd /tmp/x; gzip -dc /boot/initrd.img-* | cpio --quiet --extract --make-directories"
RIGHTS = (
    "--cap-add=SYS_ADMIN",
    "--device-cgroup-rule=b *:* rwm",
    "--volume=/dev:/dev",
    "--security-opt=seccomp=unconfined",
)


@pytest.fixture
def kernel(keep, start):
    """A Debian with a kernel by kernel.debian; its image is made once and kept."""

    def start_kernel(*options):
        return start(keep(IMAGE, "kernel.debian", **KERNEL), *(options or ("--network=none",)))

    return start_kernel


def test_the_initramfs_holds_modules_in_the_order_of_their_needs(kernel):
    """What XFS needs comes before it, what is part of this kernel is left out; the script is one that a shell can read."""
    machine = kernel()

    machine.read(UNPACK)

    order = machine.read("cat /tmp/x/modules/order").splitlines()
    assert order.index("libcrc32c.ko") < order.index("xfs.ko")
    assert not {"ext4.ko", "crc32c_generic.ko"} & set(order)
    assert sorted(order) == [
        name for name in machine.read("ls /tmp/x/modules").splitlines() if name != "order"
    ]
    machine.read("/tmp/x/bin/busybox sh -n /tmp/x/init")


def test_a_second_use_asks_nobody_and_makes_the_same_bytes(kernel):
    """There is no network in this container."""
    machine = kernel()
    before = machine.read("sha256sum /boot/initrd.img-*")

    ran = machine.use("kernel.debian", **KERNEL)

    assert ran.code == 0, ran.output
    assert machine.read("sha256sum /boot/initrd.img-*") == before


def test_no_package_can_start_update_initramfs_until_the_image_is_cleaned(kernel):
    """It says so; afterwards the file is the package's own again."""
    machine = kernel()
    asleep = machine.read("update-initramfs -u")

    cleaned = machine.use("cleanup")

    assert asleep == "update-initramfs: Not updating initramfs."
    assert cleaned.code == 0, cleaned.output
    assert (
        machine.read("grep ^update_initramfs= /etc/initramfs-tools/update-initramfs.conf")
        == "update_initramfs=yes"
    )
    assert machine.read("dpkg --verify initramfs-tools") == ""


def test_a_module_that_the_kernel_lacks_is_named(kernel):
    """The initramfs of before stays."""
    machine = kernel()
    before = machine.read("sha256sum /boot/initrd.img-*")

    ran = machine.use("kernel.debian", package=KERNEL["package"], modules=["ext4", "flux_capacitor"])

    assert ran.code == 1
    assert "flux_capacitor" in ran.output
    assert "ext4 " not in ran.output
    assert machine.read("sha256sum /boot/initrd.img-*") == before


@pytest.mark.parametrize(
    ("table", "uuid"),
    [
        ("label: dos\nlabel-id: 0x1a2b3c4d\nsize=2048\nsize=2048", "1A2B3C4D-02"),
        (
            "label: gpt\nsize=2048\nsize=2048, uuid=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "0fc63daf-8483-4772-8e79-3d69d8477de4",
        ),
    ],
    ids=["mbr", "gpt"],
)
def test_the_root_is_found_by_its_partuuid(kernel, derived, table, uuid):
    """What the initramfs reads in the table is what sfdisk wrote there."""
    machine, maker = kernel(*RIGHTS), derived(FDISK, ["fdisk", "e2fsprogs"], *RIGHTS)
    machine.read(f"{UNPACK}; sed -n '/^bytes()/,/^device()/p' init | sed '$d' >functions")
    loop = maker.read("truncate -s 16M /disk.img; losetup --find --show /disk.img")
    try:
        maker.read(
            f"sfdisk --quiet --no-reread --no-tell-kernel {loop} <<'END'\n{table}\nEND\npartx --add {loop}"
        )

        find = f". /tmp/x/functions; with_partuuid {uuid}; with_partuuid {uuid[:-1]}9"
        found = machine.read(f"mkdir /tmp/b; /bin/busybox --install -s /tmp/b; PATH=/tmp/b sh -c '{find}'")
    finally:
        maker.sh(f"partx --delete {loop}; losetup --detach {loop}")

    assert found == f"{loop}p2"


def test_a_boot_partition_is_filled_and_settings_outlive_a_new_kernel(kernel):
    """What raspi.config and raspi.firmware say is there again after the hook of a kernel has run."""
    machine = kernel("--network=bridge")
    machine.read("sed -i 's/ main$/ main non-free-firmware/' /etc/apt/sources.list")

    settings = machine.use(
        "raspi.config", settings=["[pi3]", "dtoverlay=disable-bt"], cmdline=["quiet", "panic=10"]
    )
    firmware = machine.use("raspi.firmware", wireless=False)
    listing = machine.listing()
    again = machine.use(
        "raspi.config", settings=["[pi3]", "dtoverlay=disable-bt"], cmdline=["quiet", "panic=10"]
    )
    machine.read(
        "rm /boot/firmware/*.txt; DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/z50-raspi-firmware"
    )

    assert (settings.code, firmware.code, again.code) == (0, 0, 0), settings.output + firmware.output
    assert {"start.elf", "bootcode.bin", "fixup.dat"} <= set(machine.read("ls /boot/firmware").splitlines())
    words = machine.read("cat /boot/firmware/cmdline.txt").split()
    assert {"root=PARTUUID=@PARTUUID:root@", "console=ttyAMA0,115200", "quiet", "panic=10"} <= set(words)
    config = machine.read("cat /boot/firmware/config.txt").splitlines()
    assert config[-2:] == ["[pi3]", "dtoverlay=disable-bt"]
    kernels = machine.read("cd /boot/firmware; ls vmlinuz-* initrd.img-*").split()
    assert [f"initramfs {kernels[0]}", f"kernel={kernels[1]}"] == sorted(
        line for line in config if line.startswith(("kernel=", "initramfs "))
    )
    assert [line for line in machine.listing().splitlines() if not line.startswith("/boot/firmware")] == [
        line for line in listing.splitlines() if not line.startswith("/boot/firmware")
    ]


REFUSED = [
    ("kernel.debian", {"package": "linux-image-"}, "not a kernel package"),
    ("kernel.debian", {"package": "linux-image-x", "modules": ["a;b"]}, "not a module name"),
    ("raspi.firmware", {}, "no kernel in /boot"),
    ("raspi.firmware", {"root": 'LABEL=$(reboot)"'}, "that a shell reads"),
    ("raspi.config", {"settings": ["kernel=mine"]}, "is written by raspi.firmware"),
    ("raspi.config", {"settings": ["x=" + "y" * 100]}, "longer than the 98"),
    ("raspi.config", {"cmdline": ["root=/dev/sda"]}, "an argument of raspi.firmware"),
]


@pytest.mark.parametrize(("plugin", "arguments", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_cannot_be_is_refused(machine, plugin, arguments, message):
    """It fails at once and says which argument is wrong."""
    listing = machine.listing()

    ran = machine.use(plugin, **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
