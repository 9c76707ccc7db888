"""The system of an image made here: its root, and what its fstab mounts."""

import pytest

from bases import MIB, ROOT_MIB, ROOT_START, make_base, mke2fs
from stalker.disk.system.find import find_system
from stalker.errors import NeedsRepair, StalkerError


@pytest.fixture
def made(tmp_path):
    """Return what makes an image with this fstab."""

    def make(fstab, *folders, name="base.img", table="dos"):
        image = make_base(tmp_path, name, table=table, has_data=True)
        root = tmp_path / f"{name}.root"
        (root / "etc/fstab").write_text(fstab)
        for folder in folders:
            (root / folder).mkdir(parents=True)
        mke2fs(image, ROOT_START, ROOT_MIB, "rootfs", "-d", str(root))
        return image

    return make


@pytest.mark.parametrize(
    "spec",
    [
        "PARTUUID=5ca1ab1e-01",
        'PARTUUID="5CA1AB1E-01"',
        "LABEL=BOOT",
        "/dev/mmcblk0p1",
        "/dev/sda1",
        "/dev/disk/by-label/BOOT",
        "/dev/disk/by-partuuid/5ca1ab1e-01",
    ],
)
def test_the_boot_partition_is_where_the_fstab_mounts_it(made, spec):
    """Whatever the fstab names it by; comments, the root and partitions of other disks do not count."""
    text = f"# {spec} /boot/no\n/dev/mmcblk0p2 / ext4\nLABEL=other /boot/other\n{spec}  /boot/firmware  vfat  defaults\n"

    system = find_system(made(text))

    assert system.root.entry.number == 2
    assert [(one.path, one.partition.entry.number) for one in system.mounts] == [(b"boot/firmware", 1)]


@pytest.mark.parametrize(
    ("folders", "path"),
    [(["boot/firmware"], b"boot/firmware"), (["boot/efi"], b"boot/efi"), (["boot"], b"boot"), ([], None)],
)
def test_without_an_fstab_the_root_says_where_it_is(made, folders, path):
    """The directory that is there for it; without one the boot partition stays out."""
    mounts = find_system(made("", *folders)).mounts

    assert [one.path for one in mounts] == ([path] if path else [])


def test_a_system_on_several_partitions_is_refused(made):
    """A root without its /usr is no system; a partition for data may be mounted anywhere else."""
    assert find_system(made("/dev/mmcblk0p3 /data ext4\n", name="data.img")).mounts == ()
    with pytest.raises(StalkerError, match="/usr is on a partition of its own") as error:
        find_system(made("/dev/mmcblk0p3 /usr ext4\n", name="usr.img"), "pi.img")

    assert "partition 3" in error.value.details


def test_a_root_that_cannot_be_read_is_refused_by_name(made):
    """Another file system, an unclean one, and a partition that the image does not have."""
    image = made("")
    with pytest.raises(StalkerError, match="no partition 7"):
        find_system(image, root_number=7)
    with pytest.raises(StalkerError, match="cannot be read") as error:
        find_system(image, root_number=1)
    assert "fat32" in error.value.details
    with image.open("r+b") as stream:
        stream.seek(ROOT_START + 1024 + 58)
        stream.write(b"\x00")  # its state: not clean
    with pytest.raises(NeedsRepair, match=r"partition 2: a file system was not closed"):
        find_system(image, "pi.img")
    with image.open("r+b") as stream:
        stream.seek(ROOT_START)
        stream.write(bytes(2 * MIB))
        stream.seek(ROOT_START)
        stream.write(b"hsqs" + bytes(92))
    with pytest.raises(StalkerError, match="cannot be read") as error:
        find_system(image, root_number=2)
    assert "squashfs" in error.value.details
